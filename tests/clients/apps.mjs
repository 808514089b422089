// Runs the examples of service/local/APPS.md in Node.js: they are the two modules beside this one.
import { InMemoryWebStorage } from "oidc-client-ts";

globalThis.sessionStorage = new InMemoryWebStorage();
const oidc = await import("./oidc.mjs");
const amplify = await import("./amplify.mjs");
const { API_URL, ORIGIN, PASSWORD } = process.env;
const pool = {
  awsUrl: process.env.COGNITO_DOMAIN_URL,
  poolId: process.env.COGNITO_USER_POOL_ID,
  clientId: process.env.COGNITO_CLIENT_IDS.split(",")[0],
  origin: ORIGIN,
};

// What a person does on the login page: fill in its form and be sent back.
async function logIn(url) {
  const html = await (await fetch(url)).text();
  const form = new URLSearchParams();
  for (const [input] of html.matchAll(/<input[^>]*>/g)) {
    const name = input.match(/name="([^"]*)"/)?.[1];
    if (name) form.set(name, input.match(/value="([^"]*)"/)?.[1] ?? "");
  }
  form.set("username", "rider");
  form.set("password", PASSWORD);
  const action = html.match(/action="([^"]*)"/)[1].replaceAll("&amp;", "&");
  const answer = await fetch(new URL(action, url), { method: "POST", body: form, redirect: "manual" });
  return answer.headers.get("location");
}

const client = oidc.poolClient(pool);
const user = await client.signedIn(await logIn(await client.signInUrl()));
const ride = await oidc.requestRide(API_URL, user.access_token, { latitude: 40.715, longitude: -74 });
const signedOut = await fetch(await client.signOutUrl(), { redirect: "manual" });
const tokens = await amplify.signInBySrp(pool, "rider@example.com", PASSWORD);
const renewed = await amplify.renewed();
const bySrp = await oidc.requestRide(API_URL, tokens.accessToken.toString(), { latitude: 40.7, longitude: -74 });
console.log(
  JSON.stringify({
    ride: ride.status,
    email: user.profile.email,
    signedOut: signedOut.headers.get("location"),
    bySrp: bySrp.status,
    scope: tokens.accessToken.payload.scope,
    isRenewed: renewed.accessToken.toString() !== tokens.accessToken.toString(),
  }),
);
