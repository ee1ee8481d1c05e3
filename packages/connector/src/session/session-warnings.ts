// The texts of warnings about a broker; the session keeps running.
import type { ReceivedDelivery } from './delivery.ts'
import type { SessionWarning } from './session-options.ts'

/** `symptom` states what the broker did, as a sentence without its subject. */
export function insistsOnOrder(url: string, symptom: string): SessionWarning {
  return {
    event: 'ack_order_strict',
    message: `The broker at ${url} does not accept PUBACKs out of order: it ${symptom}. PUBACKs are sent in the order of arrival from now on, so one long call delays all later ones. Give each model with long calls its own session: models.NAME.lane: true.`,
  }
}

export function heldBack(url: string, { topic, receivedAtMs }: ReceivedDelivery): SessionWarning {
  const seconds = Math.round((performance.now() - receivedAtMs) / 1000)
  return {
    event: 'intake_held_back',
    message: `A request on "${topic}" has been running for ${seconds} s and could not be put in safekeeping, and the broker at ${url} will soon reuse its Packet Identifier: no requests are acknowledged until this request is answered. Give each model with long calls its own session: models.NAME.lane: true.`,
  }
}

/** `givenSeconds`: how long the broker keeps the session, instead of the requested `askedSeconds`. */
export function expiryLowered(url: string, givenSeconds: number, askedSeconds: number): SessionWarning {
  return {
    event: 'session_expiry_lowered',
    message: `The broker at ${url} keeps the session for ${givenSeconds} s, not for the ${askedSeconds} s of broker.sessionExpirySeconds. If the connector is disconnected for longer, queued requests are lost. Raise the limit in the broker.`,
  }
}

export function notRetained(url: string): SessionWarning {
  return {
    event: 'retain_unavailable',
    message: `The broker at ${url} does not support retained messages. Requests are answered, but the connector's status and the model cards reach only clients that are subscribed when they are published: "inferwire models ls" lists nothing. Allow retained messages in the broker.`,
  }
}

/** `message` is the text of the refusal. */
export function unsubscribeRefused(message: string): SessionWarning {
  return {
    event: 'unsubscribe_refused',
    message: `${message} The connector still receives messages for this filter, and unsubscribes again on the next connection.`,
  }
}

/** `message` is the text of the refusal; `isOwn`: the filter is one of the `ownFilters`, not a request filter. */
export function subscriptionRefused(message: string, isOwn: boolean): SessionWarning {
  const rest = isOwn
    ? 'Requests are answered, but messages for this filter are not received.'
    : 'The other subscriptions remain.'
  return { event: 'subscription_refused', message: `${message} ${rest}` }
}
