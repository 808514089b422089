// A sentence for each reason of the API, for the person at the page. Some sentences differ by role.
export const MESSAGES = {
  offline: "No answer from the service. Look at your network; the page tries again by itself.",
  unreadable: "The service answered something this page does not understand. Reload the page.",
  missing_token: "Sign in to go on.",
  malformed_header: "Sign in again to go on.",
  invalid_token: "Your sign-in has ended. Sign in again to go on.",
  token_too_large: "Your account is in too many groups to be let in. Ask your operator.",
  insufficient_scope: "Your sign-in does not cover this. Sign out and in again.",
  forbidden: "Your account may not do this.",
  auth_unavailable: "Sign-ins cannot be checked at the moment. Try again in a few seconds.",
  rate_limited: "That was too often. Wait a moment, then try again.",
  too_many_streams: "Too many windows follow rides of yours. Close one of them.",
  validation_failed: "Something in the form is not right.",
  invalid_cursor: "This list has changed. Open it again from its beginning.",
  malformed_body: "The service could not read what this page sent. Reload the page.",
  unsupported_media_type: "The service could not read what this page sent. Reload the page.",
  body_too_large: "That is too long. Shorten the text.",
  uri_too_long: "The service could not read what this page sent. Reload the page.",
  headers_too_large: "Your sign-in is too large to be sent. Ask your operator.",
  expectation_failed: "The service could not read what this page sent. Reload the page.",
  bad_request: "The service could not read what this page sent. Reload the page.",
  request_timeout: "Sending took too long. Try again with a better network.",
  not_found: "This is not there, or not yours to see.",
  method_not_allowed: "This page is older than the service. Reload it.",
  precondition_required: "Somebody may have changed this. Look again, then repeat it.",
  precondition_failed: "Somebody else changed this in the meantime. Look again, then repeat it.",
  idempotency_key_reused: "This request was sent before with other places. Change something and request again.",
  too_many_active_rides: "You have as many open rides as allowed. Finish or cancel one first.",
  open_rides: "A ride of yours has not ended. Finish or cancel it first.",
  dispatch_paused: "Unicorns are resting: no new rides here at the moment. Try again in a while.",
  not_cancelable: "Too late to cancel: the ride has begun or has ended.",
  illegal_transition: "The ride has moved on; this is no longer possible.",
  too_far_away: "You are too far from the pickup to have arrived. If you are there, say so again in 30 seconds.",
  unicorn_busy: "This unicorn has a ride. Take the ride from it first.",
  account_taken: "This account has a unicorn already.",
  unicorn_exists: "This id is, or was, another unicorn's. Choose another.",
  unavailable: "The service is catching its breath. Try again in a few seconds.",
  internal_error: "Something went wrong on our side. Try again; if it stays, tell us the number.",
};

// The sentence for a refusal. For an unknown reason it is the service's own.
export function messageOf(refused) {
  const text = MESSAGES[refused.reason] ?? refused.detail ?? "Something went wrong. Try again.";
  return refused.reason === "internal_error" && refused.requestId ? `${text} (${refused.requestId})` : text;
}
