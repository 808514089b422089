/* A ride by the client that @hey-api/openapi-ts made of the OpenAPI document. */
import { cancelRide, listRides, requestRide, showRide } from "./hey/index.js";
import { client } from "./hey/client.gen.js";

declare const process: { env: Record<string, string> };

client.setConfig({ baseUrl: process.env.API_URL, auth: process.env.RIDER_TOKEN });
const pickup = { latitude: 40.7128, longitude: -74.006 };

const requested = await requestRide({ body: { pickup }, throwOnError: true });
const path = { ride_id: requested.data.ride_id };

let ride = requested.data;
while (ride.status === "requested" || ride.status === "offered") {
  const seen = await showRide({ path, headers: { Prefer: "wait=5" }, throwOnError: true });
  ride = seen.data;
}

const listed = await listRides({ query: { status: "matched" }, throwOnError: true });
const canceled = await cancelRide({ path, throwOnError: true });
console.log(
  JSON.stringify({ unicorn: ride.unicorn?.name, listed: listed.data.rides.length, status: canceled.data.status }),
);
