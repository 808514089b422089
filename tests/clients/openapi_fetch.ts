/* A ride by openapi-fetch, with the types that openapi-typescript made of the OpenAPI document. */
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { env: Record<string, string> };

const client = createClient<paths>({
  baseUrl: process.env.API_URL,
  headers: { Authorization: `Bearer ${process.env.RIDER_TOKEN}` },
});
const pickup = { latitude: 40.7128, longitude: -74.006 };

const requested = await client.POST("/v1/rides", { body: { pickup } });
if (!requested.data) throw new Error(JSON.stringify(requested.error));
const path = { ride_id: requested.data.ride_id };

let ride = requested.data;
while (ride.status === "requested" || ride.status === "offered") {
  const seen = await client.GET("/v1/rides/{ride_id}", { params: { path, header: { Prefer: "wait=5" } } });
  if (!seen.data) throw new Error(JSON.stringify(seen.error));
  ride = seen.data;
}

const listed = await client.GET("/v1/rides", { params: { query: { status: "matched" } } });
const canceled = await client.POST("/v1/rides/{ride_id}/cancel", { params: { path } });
console.log(
  JSON.stringify({ unicorn: ride.unicorn?.name, listed: listed.data?.rides.length, status: canceled.data?.status }),
);
