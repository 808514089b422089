// An app's page around the example of service/local/APPS.md: it signs in, rides, renews its token and looks.
import { poolClient, requestRide } from "./oidc.mjs";

const settings = await (await fetch("/settings.json")).json();
const client = poolClient({ ...settings, origin: location.origin });
const leave = (selector, address) => {
  const button = document.querySelector(selector);
  button.onclick = async () => location.assign(await address());
  button.disabled = false; // the page loads before its settings come: a click in between would be lost
};
leave("#sign-in", client.signInUrl);
leave("#sign-out", client.signOutUrl);

// What the API tells a page that traces its requests: a ride, or the problem of a path that does not exist.
async function look(path, accessToken) {
  const answer = await fetch(`${settings.apiUrl}${path}`, {
    headers: {
      Authorization: `Bearer ${accessToken}`,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
  });
  return answer.json();
}

async function ride() {
  const user = await client.signedIn(location.href);
  const answer = await requestRide(settings.apiUrl, user.access_token, { latitude: 40.715, longitude: -74 });
  const renewed = await client.renewed(user.refresh_token);
  const { pathname } = new URL(answer.headers.get("Location"), settings.apiUrl);
  return {
    email: user.profile.email,
    ride: answer.status,
    isNew: renewed !== user.access_token,
    ended: await client.renewed("ended").catch((error) => error.message),
    pickup: (await look(pathname, renewed)).pickup,
    nowhere: (await look("/v1/nowhere", renewed)).status,
  };
}

if (location.pathname === "/callback") {
  const told = await ride().catch((error) => ({ error: String(error) }));
  document.querySelector("output").textContent = JSON.stringify(told);
}
