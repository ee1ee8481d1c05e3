// The delivery guarantees for QoS 1 requests, and the rules of the session that provide them.
import { met, open, type Requirement } from './requirement.ts'

const DELIVERY_TEST = 'conformance/delivery.test.ts'
const ACK_ORDER = 'packages/connector/src/session/ack-order.test.ts'
const ACK_IDENTIFIERS = 'packages/connector/src/session/ack-order-identifiers.test.ts'
const OUTBOX = 'packages/connector/src/session/outbox.test.ts'
const CODEC = 'packages/connector/src/session/publish-codec.test.ts'
const CLIENT = 'conformance/client.test.ts'
const UPSTREAM_FAULTS = 'conformance/upstream-faults.test.ts'
const ENDPOINT = 'packages/connector/src/endpoint'
const ADMISSION = 'conformance/admission.test.ts'
const LONG_CALL = 'conformance/long-call.test.ts'
const LONG_RESULTS = 'conformance/long-results.test.ts'
const DUPLICATES = 'packages/connector/src/duplicates/duplicates.test.ts'
const PIPELINE_REPEATS = 'packages/connector/src/pipeline-repeats.test.ts'
const PROMISE = 'delivery promises'

const CHAOS = 'conformance/chaos.test.ts > answers every request that the broker kept (seed %i)'
const SIMULATION = 'conformance/simulation.test.ts'
const ON_THE_WIRE = `${DELIVERY_TEST} > requests are acknowledged in arrival order, only after the broker has acknowledged their replies, and on the connection that delivered them`
const KILL = `${DELIVERY_TEST} > 200 requests in flight each receive their own answer after a kill -9 and a restart`
const SIGTERM = `${DELIVERY_TEST} > after SIGTERM under load the connector loses nothing and exits with 0`
const BROKER_RESTART = `${DELIVERY_TEST} > a broker restart under load loses nothing, and the connector reconnects by itself`

/** Delivery guarantees for QoS 1 requests. */
export const DELIVERY: readonly Requirement[] = [
  met(
    'D1',
    PROMISE,
    'A request is acknowledged only after its whole answer was acknowledged (the reply, or every part and the final message of a multi-part answer), after the request expired, or if the request has no reply topic.',
    ON_THE_WIRE,
    KILL,
    'packages/connector/src/pipeline-parts.test.ts > is numbered, ends with the response, and settles the request after the last acknowledgement',
    `${SIMULATION} > meet every requirement, and become idle`,
    'conformance/bad-input.test.ts > requests without a reply address',
  ),
  met(
    'D2',
    PROMISE,
    'No failure of the connector loses a request: each gets at least one reply.',
    KILL,
    BROKER_RESTART,
    CHAOS,
    `${SIMULATION} > meet every requirement, and become idle`,
  ),
  met(
    'D3',
    `${PROMISE}; MQTT 5 §4.6`,
    'PUBACKs leave in the order of the PUBLISHes, each only on the connection on which its PUBLISH arrived. With `ackOrder: bounded`, PUBACKs may overtake a request that is older than `ackHoldMaxMs`, but the Packet Identifier of that request is not reused before the request is answered.',
    ON_THE_WIRE,
    `${ACK_ORDER} > acknowledges in the order of arrival, in whatever order deliveries are settled`,
    `${ACK_ORDER} > lets PUBACKs overtake the oldest open delivery only if that delivery is older than the bound`,
    `${ACK_IDENTIFIERS} > without a keeper, holds back all PUBACKs before a delivery's identifier is reused`,
    `${SIMULATION} > meet every requirement, and become idle`,
    `${ACK_ORDER} > acknowledges nothing after the connection has ended, because the next session assigns identifiers afresh`,
    `${LONG_CALL} > a request that 70,000 later requests overtake is put in safekeeping, and is executed again after a kill -9`,
    `${LONG_CALL} > a lane answers each request of its model only once`,
  ),
  met(
    'D4',
    PROMISE,
    'Every reply has the Correlation Data of its own request, and is sent to the reply topic of that request.',
    KILL,
    'conformance/contract.test.ts > each of a thousand simultaneous requests receives its own answer exactly once',
  ),
  met(
    'D4-PARTS',
    PROMISE,
    'Even under faults, each part of a stream and each answer from a shared call reaches only its own request, unchanged; a stream ends with a final message, and the SDK reports every gap.',
    CHAOS,
    'conformance/chaos.test.ts > the SDK reports every gap in the streams of a connector that loses parts',
    `${SIMULATION} > meet every requirement, and become idle`,
    `${SIMULATION} > cover every fault, reason code and problem`,
  ),
  met(
    'D5',
    PROMISE,
    'Within one process the model is called at most once per request while the request is in the duplicate window; with `repeatable: false`, a repeated request gets `maybe_executed`.',
    `${ADMISSION} > joins the running call, or receives the remembered answer after the call`,
    `${ADMISSION} > is recognized by the id in its topic, too`,
    `${ADMISSION} > is a separate request if its client or body differs, or if it has no id; no client receives another client's answer`,
    `${ADMISSION} > for a model with repeatable: false, is answered from memory or with maybe_executed`,
    `${ADMISSION} > is never answered from memory for the operation %s`,
    `${ADMISSION} > with or without an id, is not executed twice when it is redelivered after a lost connection`,
    `${DUPLICATES} > returns the newest outcome of each key unchanged, and never exceeds the size of the memory`,
  ),
  met(
    'D5-REPLY',
    PROMISE,
    'A request that is redelivered during its execution is answered once, unless its reply was in flight when the connection was lost.',
    'conformance/one-reply.test.ts > 100 requests in flight receive one reply each when the broker restarts',
    'conformance/one-reply.test.ts > a connector that drains during a broker outage answers each request once, and leaves no request to the next process',
    `${PIPELINE_REPEATS} > is answered once if two sessions redeliver it, and both deliveries are settled with the reply`,
    `${PIPELINE_REPEATS} > is answered once if its redelivery arrives while the model runs`,
    `${PIPELINE_REPEATS} > is answered if the broker does not redeliver it`,
  ),
  met(
    'D6',
    PROMISE,
    'An expired request is not executed; the deadline aborts the call down to the socket.',
    'packages/connector/src/admission/deadline.test.ts > a request that has already expired on arrival ends with deadline_exceeded, and no timer is started',
    'packages/connector/src/admission/model-gate.test.ts > gives no turn to an expired request, even if its timer is late',
    'packages/connector/src/endpoint/http/http-endpoint.test.ts > does not send a request whose deadline has already passed',
    'packages/connector/src/endpoint/http/http-endpoint.test.ts > closes the socket when the deadline passes',
    `${ENDPOINT}/with-batching-deadlines.test.ts > is not sent if its deadline has passed, even if the timer of the deadline is late`,
  ),
  met(
    'D7',
    PROMISE,
    'Overload and an unreachable model server result in an immediate error reply, without unbounded memory.',
    'conformance/contract.test.ts > requests above the limits of a model are rejected at once, and requests within the limits are answered',
    'conformance/bad-input.test.ts > down',
    'packages/connector/src/admission/model-gate.test.ts > does not accumulate expired waiters behind a hanging call',
  ),
  met(
    'D7-FAIR',
    'design, Security',
    'A client that sends 100 times the load of others does not prevent answers to the other clients; the number of requests that one client has in flight is limited.',
    `${ADMISSION} > a client with 100 times the load of any other client does not block the answers to the others`,
    `${ADMISSION} > a client that exceeds its limit of requests in flight receives an error at once`,
    `${ADMISSION} > a rate limit allows a burst as large as the number of requests per second`,
    'packages/connector/src/admission/model-gate-clients.test.ts > get their share of a full queue: the newest request of the client with the most requests is rejected',
  ),
  met(
    'D7-REFUSAL',
    'reference, Refusals',
    'Every refusal of a gateway or a service mesh has a name and a remedy in the log; the client receives only a safe sentence. Repetitions and the circuit follow the table of refusals, over HTTP and over gRPC.',
    'conformance/gate-refusals.test.ts > row %s',
    'conformance/gate-refusals.test.ts > a gateway that removes x-envoy-upstream-service-time, and a sidecar that always adds it, hide who refused',
    "conformance/gate-refusals.test.ts > row 19: the model's own 401 reaches the client",
    `${ENDPOINT}/refusal/refusal-problem.test.ts > %s is repeated according to its entry`,
    `${ENDPOINT}/refusal/refusal-problem.test.ts > %s counts for the circuit according to its entry`,
    `${ENDPOINT}/refusal/refusal-problem.test.ts > %s closes no open circuit, and starts no new count of failures`,
    `${ENDPOINT}/http/http-endpoint.test.ts > repeats a call of a model with repeatable: false %s`,
    `${ENDPOINT}/grpc/grpc-call.test.ts > repeats a call of a model with repeatable: false %s`,
    `${ENDPOINT}/grpc/judge-status.test.ts > a login page in the text of a status is cut in the log`,
    'conformance/gate-login.test.ts > the stub with the reply "%s" answers %s like oauth2-proxy',
  ),
  met(
    'D7-COLD',
    'design, Delivery',
    'Requests to a model that is scaled to zero wait inside their deadlines, and each is called once. A cold start does not open the circuit.',
    'conformance/cold-start.test.ts > requests to a model that is scaled to zero wait for its pod, and each of them is called once',
    'conformance/cold-start.test.ts > a refusal of the activator during a cold start does not open the circuit',
  ),
  met(
    'D7-RETRY',
    PROMISE,
    'Calls are retried only if a retry is safe, within the deadline and a budget. Each upstream has its own circuit breaker.',
    `${UPSTREAM_FAULTS} > when a model server dies under load, requests fail at once; the circuit opens within a second, and closes within two seconds of the restart`,
    `${UPSTREAM_FAULTS} > retries to a gateway without a server are at most 10 % of the requests plus three per second`,
    `${UPSTREAM_FAULTS} > a call is retried once after a lost connection, except with repeatable: false`,
    `${UPSTREAM_FAULTS} > a client with very short deadlines does not open the circuit for others`,
    `${ENDPOINT}/retry-budget.test.ts > never allows more retries than 10 % of the requests plus 3 per second`,
    `${ENDPOINT}/with-retry.test.ts > fails at once if the wait would exceed the deadline`,
    `${ENDPOINT}/with-retry.test.ts > ends at once, without another call, if the request is cancelled during the wait`,
    `${ENDPOINT}/with-breaker-failures.test.ts > %s count as failures only while the server is warm, not during a cold start`,
    `${ENDPOINT}/with-breaker-failures.test.ts > counts long timeouts as failures`,
    `${ENDPOINT}/upstream-faults.test.ts > waits for the time in Retry-After within the deadline`,
  ),
  met(
    'D8',
    PROMISE,
    'A request that kills the process is tried at most three times, then answered with `internal` and set aside.',
    'conformance/poison.test.ts > a request that kills the process is tried three times, and is then answered with `internal` and set aside',
    'conformance/poison.test.ts > after two kills from outside while many requests are in flight, no request is treated as poison',
    'packages/connector/src/poison/suspicion.test.ts > at the third start, finds exactly the request that crashed both earlier processes',
    'packages/connector/src/poison/suspicion.test.ts > runs redelivered requests together, up to 64 at a time, and does not suspect new requests',
  ),
  met(
    'D9',
    PROMISE,
    'On SIGTERM the connector accepts no further requests; it finishes, answers and acknowledges those in flight, and exits with 0. It loses no request and executes none twice.',
    SIGTERM,
    'conformance/cli-connect.test.ts > after %s, the connector answers the requests in flight, then exits with 0',
    'conformance/cli-connect.test.ts > the connector stops even while the broker is unreachable',
    'conformance/cluster-restart.test.ts > under load from outside > a rollout restart of %s loses no request',
  ),
  met(
    'D10',
    PROMISE,
    'With a client that resends, every request ends with a reply or `deadline_exceeded`, even if the broker is killed.',
    `${CLIENT} > 200 requests each receive their own answer although the broker is killed five times`,
    `${CLIENT} > a request that the broker has acknowledged survives`,
    `${CLIENT} > a repeated PUBLISH is part of the same request: the first reply is returned, and the second reply is ignored`,
    "conformance/cluster-restart.test.ts > under load from outside > a crash of the broker loses none of the SDK's requests",
  ),
  met(
    'D11',
    PROMISE,
    'The reply to a submitted request waits until its client fetches it, even if the connector is killed during the call or the broker is restarted, and can be fetched once.',
    `${LONG_RESULTS} > the reply waits in the client's session while the client is away, and other requests are answered meanwhile`,
    `${LONG_RESULTS} > a connector that is killed during the call executes it again after its restart`,
    `${LONG_RESULTS} > the reply survives a restart of the broker`,
    'conformance/client-results.test.ts > a reply that arrives together with the acknowledgement of its request is not lost',
  ),
  met(
    'S-WINDOW-1',
    'MQTT 5 §4.9',
    "The number of unacknowledged replies never exceeds the broker's Receive Maximum.",
    `${OUTBOX} > keeps at most as many publishes in flight as the broker's Receive Maximum allows`,
  ),
  met(
    'S-WINDOW-2',
    'MQTT 5 §3.2.2.3.6',
    "A packet above the broker's Maximum Packet Size is not sent.",
    `${OUTBOX} > does not send a message above the broker's Maximum Packet Size`,
    "conformance/broker-faults.test.ts > an answer that exceeds the broker's Maximum Packet Size is replaced by an error with a code",
  ),
  met(
    'S-RESEND-1',
    'MQTT 5 §4.4',
    'A resumed session resends unacknowledged replies with DUP and the same identifier, before any new message.',
    `${OUTBOX} > on a resumed session, resends with DUP and the same identifier, before new messages`,
  ),
  met(
    'S-RECONNECT-1',
    PROMISE,
    'After a lost connection the connector reconnects and becomes ready with the same session.',
    BROKER_RESTART,
    'conformance/broker-faults.test.ts > a wrong password is logged with a remedy, and the corrected password is used without a restart',
  ),
  met(
    'S-MALFORMED-1',
    'MQTT 5 §4.13',
    'A property that extends past the end of its packet makes the packet malformed, and is never decoded as null. Any bytes are either decoded or rejected.',
    `${CODEC} > rejects a Response Topic that extends past the end of the packet`,
    `${CODEC} > either decodes a truncated or corrupted packet, or rejects it as malformed`,
  ),
  met(
    'S-BYTES-1',
    PROMISE,
    'Sizes are checked before data is stored: the payload of a message above the limit is not read.',
    `${CODEC} > reads the topic and properties of a message above the size limit, but not its payload`,
    'conformance/bad-input.test.ts > a body that exceeds the memory limits is dropped, and the request is answered with an error',
    'packages/connector/src/admission/model-gate.test.ts > models share one byte budget',
  ),
  met(
    'S-SHARED-1',
    'design, Scale and brokers; MQTT 5 §4.8.2',
    'Connectors with the same `broker.share` share the requests by a shared subscription: each request is executed by one connector, and a cancel message reaches the connector that executes the request.',
    `${ADMISSION} > connectors of one group share the requests: each request is executed only once, and each connector receives some of them`,
    `${ADMISSION} > reaches the replica that runs the request`,
    'packages/connector/src/session/subscriptions.test.ts > subscribes with the share name, and removes the unshared subscription of an earlier process',
    'conformance/broker-faults.test.ts > a connector that switches to a shared subscription removes the previous subscription from its session',
    'conformance/manifests.test.ts > configure a shared subscription only if there are several connectors',
  ),
  open(
    'S-PROFILE-1',
    'design, Scale and brokers',
    'The profile of a broker determines its features, and how replicas share the work.',
    'There are no profiles yet; `broker.share` and `broker.ackOrder` are configured instead.',
  ),
]
