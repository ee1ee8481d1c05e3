// The promises of delivery, for requests of QoS 1, and how the session keeps them.
import { met, open, type Requirement } from './requirement.ts'

const DELIVERY_TEST = 'conformance/delivery.test.ts'
const ACK_ORDER = 'packages/connector/src/session/ack-order.test.ts'
const OUTBOX = 'packages/connector/src/session/outbox.test.ts'
const CODEC = 'packages/connector/src/session/publish-codec.test.ts'
const CLIENT = 'conformance/client.test.ts'
const UPSTREAM_FAULTS = 'conformance/upstream-faults.test.ts'
const ENDPOINT = 'packages/connector/src/endpoint'
const ADMISSION = 'conformance/admission.test.ts'
const LONG_CALL = 'conformance/long-call.test.ts'
const DUPLICATES = 'packages/connector/src/duplicates/duplicates.test.ts'
const PIPELINE = 'packages/connector/src/pipeline.test.ts'
const PROMISE = 'delivery promises'

const CHAOS = 'conformance/chaos.test.ts > answers every request that the broker kept (seed %i)'
const SIMULATION = 'conformance/simulation.test.ts'
const ON_THE_WIRE = `${DELIVERY_TEST} > on the wire: PUBACKs of requests follow the PUBACKs of their replies, in arrival order, on their own connection`
const KILL = `${DELIVERY_TEST} > kill -9 with 200 requests in flight: every request is answered after the restart, none crossed`
const SIGTERM = `${DELIVERY_TEST} > SIGTERM under load loses nothing and exits 0`
const BROKER_RESTART = `${DELIVERY_TEST} > a broker restart under load loses nothing, and the connector reconnects by itself`

/** See the file's first line. */
export const DELIVERY: readonly Requirement[] = [
  met(
    'D1',
    PROMISE,
    'A request is acknowledged only after the whole of its answer was (the reply, or the final message and every part of an answer in parts), its expiry passed, or no reply can ever be addressed.',
    ON_THE_WIRE,
    KILL,
    `${PIPELINE} > is numbered, ends with its response, and is settled after the last acknowledgement`,
    `${SIMULATION} > meet every requirement, and become idle`,
    'conformance/bad-input.test.ts > requests without a reply address',
  ),
  met(
    'D2',
    PROMISE,
    'Whatever happens to the connector, no request is lost: each gets at least one reply.',
    KILL,
    BROKER_RESTART,
    CHAOS,
    `${SIMULATION} > meet every requirement, and become idle`,
  ),
  met(
    'D3',
    `${PROMISE}; MQTT 5 §4.6`,
    'PUBACKs leave in the order of the PUBLISHes, and only on the connection on which they came. `ackOrder: bounded` gives the order up behind a request that is older than `ackHoldMaxMs`, and never for so long that its Packet Identifier is used again before it is answered.',
    ON_THE_WIRE,
    `${ACK_ORDER} > PUBACKs leave in the order in which the PUBLISHes came`,
    `${ACK_ORDER} > order is kept behind a young head`,
    `${ACK_ORDER} > a delivery that cannot leave holds everything back before its identifier comes round again`,
    `${SIMULATION} > meet every requirement, and become idle`,
    `${ACK_ORDER} > nothing is acknowledged after the connection ended`,
    `${LONG_CALL} > a request overtaken by 70,000 others is executed again after a kill -9: its identifier was released in time`,
    `${LONG_CALL} > a lane answers each request of its model once`,
  ),
  met(
    'D4',
    PROMISE,
    "Every reply carries its own request's Correlation Data and goes to its own reply topic; none is crossed.",
    KILL,
    'conformance/contract.test.ts > each of a thousand simultaneous requests gets its own answer exactly once',
  ),
  met(
    'D5',
    PROMISE,
    'Within one process the model is called at most once per request while the duplicate window remembers it; a route with `repeatable: false` is answered `maybe_executed`.',
    `${ADMISSION} > joins the running call, and later gets the remembered answer`,
    `${ADMISSION} > is recognized also by the id in its topic`,
    `${ADMISSION} > with another client, another body or no id is another request, and no client gets another client's answer`,
    `${ADMISSION} > to a model with repeatable: false is answered from memory or with maybe_executed`,
    `${ADMISSION} > %s with the same id, after the model server stopped`,
    `${ADMISSION} > that is redelivered after a lost connection is not executed twice, with and without an id`,
    `${DUPLICATES} > the memory gives back what was put in`,
  ),
  met(
    'D5-REPLY',
    PROMISE,
    'A request that the broker redelivers while it runs is answered once, unless its reply was on its way when the connection was lost.',
    'conformance/one-reply.test.ts > 100 requests in flight get one reply each when the broker restarts',
    'conformance/one-reply.test.ts > a drain during a broker outage answers each request once, and leaves none to the next process',
    `${PIPELINE} > is answered once when two sessions redeliver it, and both are settled with the reply`,
    `${PIPELINE} > is answered once: its redelivery takes over, while the model runs`,
    `${PIPELINE} > is answered when the broker redelivers nothing`,
  ),
  met(
    'D6',
    PROMISE,
    'An expired request is not executed; its deadline is one signal down to the socket.',
    'packages/connector/src/admission/deadline.test.ts > a request whose time is up when it comes is stopped',
    'packages/connector/src/admission/model-gate.test.ts > a request whose deadline has passed takes no turn',
    'packages/connector/src/endpoint/http/http-endpoint.test.ts > what is stopped already is not sent',
    'packages/connector/src/endpoint/http/http-endpoint.test.ts > the deadline ends the call on the socket',
  ),
  met(
    'D7',
    PROMISE,
    'Overload and a dead upstream give a typed error at once, never silence and never growing memory.',
    'conformance/contract.test.ts > requests above the limits of a model are rejected at once, and the others are answered',
    'conformance/bad-input.test.ts > down',
    'packages/connector/src/admission/model-gate.test.ts > behind a call that hangs, waiters that expire do not pile up',
  ),
  met(
    'D7-FAIR',
    'design, Security',
    'One client at 100 times the load leaves the others their answers; what one client has under way is bounded.',
    `${ADMISSION} > one client with 100 times the load does not keep the others from their answers`,
    `${ADMISSION} > a client above its limit of requests in flight gets an error at once`,
    `${ADMISSION} > a rate limit allows one second of requests at once`,
    'packages/connector/src/admission/model-gate.test.ts > get their part of a full queue',
  ),
  met(
    'D7-RETRY',
    PROMISE,
    'Retries only where safe, inside the deadline and a budget; a circuit per upstream.',
    `${UPSTREAM_FAULTS} > a model server dies under load: errors at once; the circuit opens within a second and closes within two`,
    `${UPSTREAM_FAULTS} > a gateway without a server gets at most 10 % of the requests, and three per second, as retries`,
    `${UPSTREAM_FAULTS} > a lost connection is retried once, except with repeatable: false`,
    `${UPSTREAM_FAULTS} > a client with very short deadlines does not open the circuit for others`,
    `${ENDPOINT}/retry-budget.test.ts > from the start on there are never more retries than 10 % of the requests`,
    `${ENDPOINT}/with-retry.test.ts > no wait goes beyond the deadline`,
    `${ENDPOINT}/with-retry.test.ts > a request that is stopped while it waits ends at once`,
    `${ENDPOINT}/with-breaker.test.ts > %s count only while the server is warm: a cold start is no failure`,
    `${ENDPOINT}/with-breaker.test.ts > time-outs count when the call had its time`,
    `${ENDPOINT}/upstream-faults.test.ts > a Retry-After is kept when the deadline allows it`,
  ),
  met(
    'D8',
    PROMISE,
    'A request that kills the process is tried at most three times, then answered `internal` and set aside.',
    'conformance/poison.test.ts > a request that kills the process is tried three times, then answered `internal` and set aside',
    'conformance/poison.test.ts > two kills from outside with many requests in flight blame no request',
    'packages/connector/src/poison/suspicion.test.ts > a request that ends the process each time is known at the third start',
    'packages/connector/src/poison/suspicion.test.ts > what comes again runs together, at most 64 at once',
  ),
  met(
    'D9',
    PROMISE,
    'SIGTERM: stop taking, finish, answer, acknowledge, exit 0; nothing lost, nothing done twice.',
    SIGTERM,
    'conformance/cli-connect.test.ts > %s answers the requests in flight, then exits with 0',
    'conformance/cli-connect.test.ts > stops also while the broker is unreachable',
    'conformance/cluster-restart.test.ts > under load from outside > a rollout restart of %s loses nothing',
  ),
  met(
    'D10',
    PROMISE,
    'With a client that repeats, every request ends in a reply or `deadline_exceeded`, also when the broker is killed.',
    `${CLIENT} > 200 requests during five kills of the broker: each ends with its own answer`,
    `${CLIENT} > a request that the broker had acknowledged survives its`,
    `${CLIENT} > a repeated publish is the same request: the first reply counts, the second is ignored`,
    'conformance/cluster-restart.test.ts > under load from outside > a broker that is killed loses nothing of the SDK',
  ),
  met(
    'S-WINDOW-1',
    'MQTT 5 §4.9',
    "No more replies than the broker's Receive Maximum are unacknowledged at once.",
    `${OUTBOX} > no more than the broker's Receive Maximum`,
  ),
  met(
    'S-WINDOW-2',
    'MQTT 5 §3.2.2.3.6',
    "A packet above the broker's Maximum Packet Size is not sent.",
    `${OUTBOX} > a message above the broker's Maximum Packet Size is not sent`,
    'conformance/broker-faults.test.ts > an answer above the Maximum Packet Size of the broker becomes an error with a code',
  ),
  met(
    'S-RESEND-1',
    'MQTT 5 §4.4',
    'A resumed session sends unacknowledged replies again with DUP and the same identifier, before anything new.',
    `${OUTBOX} > a resumed session resends with DUP`,
  ),
  met(
    'S-RECONNECT-1',
    PROMISE,
    'After a lost connection the connector is ready again by itself, with the same session.',
    BROKER_RESTART,
    'conformance/broker-faults.test.ts > a wrong password is logged with its remedy, and a corrected one is used without a restart',
  ),
  met(
    'S-MALFORMED-1',
    'MQTT 5 §4.13',
    'A property that runs past its packet is malformed, never a null; no bytes do anything else than decode or fail.',
    `${CODEC} > a Response Topic that runs past the packet is malformed`,
    `${CODEC} > cut and flipped packets are malformed or decoded`,
  ),
  met(
    'S-BYTES-1',
    PROMISE,
    'Bytes are bounded before they are kept: of a message above the limit the payload is not read.',
    `${CODEC} > of a message above the limit topic and properties are read`,
    'conformance/bad-input.test.ts > a body too large for the memory is dropped, and the request is answered with an error',
    'packages/connector/src/admission/model-gate.test.ts > models share one budget of bytes',
  ),
  met(
    'S-SHARED-1',
    'design, Scale and brokers; MQTT 5 §4.8.2',
    'Connectors with the same `broker.share` share the requests by a shared subscription: each is executed by one of them, and a cancel reaches the one that runs it.',
    `${ADMISSION} > connectors of one group share the requests: each request is executed once, and each connector gets some`,
    `${ADMISSION} > reaches the replica that runs the request`,
    'packages/connector/src/session/subscriptions.test.ts > a shared filter is subscribed to under the name of the group',
    'conformance/broker-faults.test.ts > a connector that switches to a shared subscription removes the previous one from its session',
    'conformance/manifests.test.ts > give several connectors a shared subscription, and one a queue of its own',
  ),
  open(
    'S-PROFILE-1',
    'design, Scale and brokers',
    'What a broker can do, and how replicas share the work there, follows from a profile of the broker.',
    'There are no profiles; `broker.share` and `broker.ackOrder` are configured.',
  ),
]
