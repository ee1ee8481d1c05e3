// What operators are told about a broker while the session works on: the sentences.
import type { ReceivedDelivery } from './delivery.ts'
import type { SessionWarning } from './session-options.ts'

/** `symptom` completes "it ...": what the broker did. */
export function insistsOnOrder(url: string, symptom: string): SessionWarning {
  return {
    event: 'ack_order_strict',
    message: `The broker at ${url} does not accept PUBACKs out of order: it ${symptom}. They leave in the order of arrival from now on, so one long call holds back all later ones. Give models with long calls a session of their own: models.NAME.lane: true.`,
  }
}

export function heldBack(url: string, { topic, receivedAtMs }: ReceivedDelivery): SessionWarning {
  const seconds = Math.round((performance.now() - receivedAtMs) / 1000)
  return {
    event: 'intake_held_back',
    message: `A request on "${topic}" runs for ${seconds} s, could not be put in safekeeping, and the broker at ${url} will soon use its Packet Identifier again: nothing is acknowledged until it is answered. Give models with long calls a session of their own: models.NAME.lane: true.`,
  }
}

/** The broker keeps the session for `givenSeconds`, where `askedSeconds` were asked for. */
export function expiryLowered(url: string, givenSeconds: number, askedSeconds: number): SessionWarning {
  return {
    event: 'session_expiry_lowered',
    message: `The broker at ${url} keeps the session for ${givenSeconds} s, not for the ${askedSeconds} s of broker.sessionExpirySeconds: requests that wait for a connector that is away for longer are lost. Raise the limit in the broker.`,
  }
}

export function notRetained(url: string): SessionWarning {
  return {
    event: 'retain_unavailable',
    message: `The broker at ${url} has no retained messages. Requests are answered, but the status of the connector and the cards of the models reach only clients that are subscribed when they are published: "inferwire models ls" lists nothing. Allow retained messages in the broker.`,
  }
}

/** `message` is the refusal. */
export function unsubscribeRefused(message: string): SessionWarning {
  return {
    event: 'unsubscribe_refused',
    message: `${message} The connector still receives what is published there, and asks again on the next connection.`,
  }
}

/** `message` is the refusal; `isOwn`: the filter is not one of requests. */
export function subscriptionRefused(message: string, isOwn: boolean): SessionWarning {
  const rest = isOwn
    ? 'Requests are answered, but these messages are not received.'
    : 'The other subscriptions stay.'
  return { event: 'subscription_refused', message: `${message} ${rest}` }
}
