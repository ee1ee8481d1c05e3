// Requirements of the wire contract: topics, operations, properties, bodies, streaming, bound topics.
import { met, open, type Requirement } from './requirement.ts'

const CONTRACT = 'conformance/contract.test.ts'
const PEERS = 'conformance/peers.test.ts'
const RELOAD = 'conformance/reload.test.ts'
const BAD_INPUT = 'conformance/bad-input.test.ts'
const KSERVE = 'conformance/kserve.test.ts'
const GRPC = 'conformance/grpc.test.ts'
const OPENAI = 'conformance/openai.test.ts'
const DISCOVERY = 'packages/connector/src/connector-discovery.test.ts'
const TOPIC = 'packages/protocol/src/topic.test.ts'
const REPLY = 'packages/connector/src/reply/reply.test.ts'
const CLIENT = 'packages/client/src/client.test.ts'

const TOPICS: readonly Requirement[] = [
  met(
    'C-TOPIC-1',
    'wire contract, Topics',
    'Without a Response Topic, the reply is published to the request topic with `request` replaced by `reply`.',
    `${CONTRACT} > without a Response Topic, the reply topic is the request topic with "request" replaced by "reply"`,
    `${TOPIC} > a request topic > is parsed into its levels`,
  ),
  met(
    'C-TOPIC-2',
    'wire contract, Topics',
    'The root is configurable and may have several levels.',
    `${TOPIC} > a request topic > may have a root of several levels`,
    `${CONTRACT} > requests above the limits of a model are rejected at once, and requests within the limits are answered`,
  ),
  met(
    'C-TOPIC-3',
    'wire contract, Topics',
    'The reply topic contains the levels that the client appends after the operation, for correlation in MQTT 3.1.1.',
    `${CONTRACT} > an MQTT 3.1.1 client correlates replies by the id in the topic`,
    `${CLIENT} > matches a reply by its topic on MQTT 3.1.1`,
    'conformance/bridge.test.ts > behind a Mosquitto bridge with the default protocol version, the SDK and the CLI on MQTT 5 > receive exactly one answer to each request, and the model is called once per request',
    'conformance/python-example.test.ts > paho-mqtt receives its answer over MQTT',
  ),
  met(
    'C-ROOT-1',
    'design, The wire contract',
    "Connectors with different models work under one root: no connector answers for another connector's model, and requests for a model that no connector exposes are still answered.",
    `${PEERS} > two connectors with different models under one root do not answer requests for each other's models`,
    `${PEERS} > a request for a model that no connector exposes is still answered`,
    `${PEERS} > requests that waited for a connector are not answered with model_not_found when it starts`,
  ),
  met(
    'C-TOPIC-4',
    'wire contract, Topics',
    "A topic without an operation means the model card's default operation.",
    `${CONTRACT} > the default operation and the operations infer, metadata, ready and explain are executed`,
  ),
  met(
    'C-TOPIC-5',
    'wire contract, Topics',
    '`{model}@{version}` selects that version; a configured alias hides the name on the server.',
    `${CONTRACT} > a version or an alias in the topic is translated to the path on the model server`,
    'packages/connector/src/model-registry.test.ts > the card of each version lists the tensors of that version',
    "packages/connector/src/model-registry.test.ts > exposes the server's model %s under another name, and logs the path as sent",
  ),
  met(
    'C-TOPIC-6',
    'wire contract, Topics',
    'InferenceServices are exposed as `{name}` in the default namespace and as `{name}.{namespace}` elsewhere.',
    `${DISCOVERY} > exposes the objects of the cluster, and follows their changes`,
    `${DISCOVERY} > prefers a configured model, and exposes the discovered one when it is removed`,
    `${DISCOVERY} > clears the cards of models that were deleted while the connector was stopped`,
    `${TOPIC} > accepts only model names that have no special meaning in a path`,
  ),
  met(
    'C-TOPIC-7',
    'wire contract, Topics',
    'An identity that is not a valid topic level is rejected where the identity is configured, and requests with this identity get no reply.',
    'packages/client/src/options.test.ts > mqtt://broker',
    'packages/mosquitto/src/user-name.test.ts > rejects a name that is not a single topic level',
    `${BAD_INPUT} > requests without a reply address`,
    `${TOPIC} > a reply topic > is not derived from a topic without a client`,
  ),
  met(
    'C-TOPIC-8',
    'wire contract, Topics',
    'Each exposed model has a retained card with operations, tensors and a working example. It follows changes on the server, and is cleared when the model is removed.',
    `${CONTRACT} > cards describe the models, and statuses describe the connectors`,
    `${CONTRACT} > a reload adds, replaces and removes models without losing the session`,
    `${KSERVE} > the model cards contain KServe's metadata`,
    'packages/connector/src/presence/model-card.test.ts > a card contains the request topic and the reply topic',
    'packages/connector/src/presence/model-card.test.ts > generates no example for an input of the unsupported type',
    'packages/connector/src/model-registry.test.ts > the card of a model with 70 inputs has neither an example nor a truncated list of inputs',
    'packages/connector/src/model-registry.test.ts > updates card and operations when a server returns with a different model',
    'packages/connector/src/endpoint/facts-watch.test.ts > learns the new tensors of a model that was reloaded without a failure and now',
  ),
  met(
    'C-TOPIC-9',
    'wire contract, Topics',
    'A running connector has a retained status.',
    `${CONTRACT} > cards describe the models, and statuses describe the connectors`,
  ),
  met(
    'C-TOPIC-10',
    'wire contract, Topics',
    'A stopping connector publishes `draining`, then `offline`; its Will contains `offline` with the timestamp of its own connection.',
    `${RELOAD} > a connector that is stopped publishes "draining", then "offline" with the timestamp of its birth message`,
    `${RELOAD} > the Will of a killed connector publishes the state "offline" with the timestamp of its birth message`,
  ),
  met(
    'C-TOPIC-11',
    'wire contract, Topics',
    'Cards and statuses carry the version of the contract, and unknown members are ignored.',
    `${CONTRACT} > cards describe the models, and statuses describe the connectors`,
    'packages/protocol/src/read-card.test.ts > reads a card completely, and keeps unknown members',
    'packages/protocol/src/read-card.test.ts > a card of a newer contract is read as far as this version supports it',
  ),
  met(
    'C-TOPIC-12',
    'wire contract, Topics',
    'A publish on `{root}/cancel/…` stops the request that has the id or Correlation Data of the publish, on whichever replica the request runs.',
    'conformance/admission.test.ts > stops only the request with the same Correlation Data, whether that request is running or waiting',
    'conformance/admission.test.ts > stops the request with the same id in the topic, but never a request of another client',
    'conformance/admission.test.ts > reaches the replica that runs the request',
    'conformance/admission.test.ts > is acknowledged and ignored if it matches no request: %s',
    'packages/connector/src/admission/clients.test.ts > cancels only requests that match both the id and the Correlation Data, if the cancel message has both',
  ),
  met(
    'C-TOPIC-13',
    'wire contract, Topics',
    'With the access rules, no client can send requests or cancel messages as another client, or have a reply delivered to another client.',
    `${BAD_INPUT} > bob can neither send requests as alice nor have answers delivered to her`,
    'conformance/docs.test.ts > the access rules in the guide allow each user only its own topics',
    "conformance/docs.test.ts > the guide's access rules for requests, replies and cancels are the generated rules",
    'conformance/cluster.test.ts > from outside, %s > bob can neither publish as alice nor receive her replies',
  ),
]

const OPERATIONS: readonly Requirement[] = [
  met(
    'C-OPERATION-1',
    'wire contract, Topics',
    '`predict`, `explain`, `infer`, `metadata` and `ready` do what KServe does over HTTP.',
    `${CONTRACT} > the default operation and the operations infer, metadata, ready and explain are executed`,
    `${KSERVE} > KServe's Python server gives the same answers through the connector as over HTTP`,
  ),
  met(
    'C-OPERATION-2',
    'wire contract, Topics',
    '`chat`, `completions` and `embeddings` call OpenAI-compatible servers.',
    `${OPENAI} > on KServe > whole answers and errors are the same as over HTTP`,
    `${OPENAI} > on KServe > the parts of a %s stream equal the events over HTTP, in the same order`,
    'packages/connector/src/endpoint/http/ask-model-list.test.ts > a model in the list under %s has the operations whose paths exist there',
    "conformance/gguf.test.ts > a chat that is not streamed has the engine's text and token counts",
  ),
  met(
    'C-OPERATION-3',
    'wire contract, Topics',
    "`generate` uses Triton's and KServe's generate protocol.",
    `${OPENAI} > on Triton > generate gives the same answers and errors as over HTTP`,
    `${OPENAI} > on Triton > generate with "stream": true publishes a part for each event`,
  ),
  met(
    'C-OPERATION-4',
    'design, Layout',
    'A model server with V2 over gRPC is called over gRPC.',
    `${GRPC} > %s > a request gets the same outputs over gRPC as over HTTP`,
    `${GRPC} > %s > %s values are returned exactly`,
    `${GRPC} > %s > a binary tensor of 600 KB with NaN is returned unchanged`,
    `${GRPC} > cancelling a stream also stops the models of Triton and MLServer`,
  ),
]

const PROPERTIES: readonly Requirement[] = [
  met(
    'C-PROPERTY-1',
    'wire contract, MQTT 5 properties',
    "A Response Topic inside the client's own reply subtree gets the reply.",
    `${CONTRACT} > a reply on the Response Topic contains the unchanged body and the status of the answer`,
    `${CONTRACT} > mosquitto_rr receives its answer`,
  ),
  met(
    'C-PROPERTY-2',
    'wire contract, MQTT 5 properties; MQTT 5 §3.3.2.3.6',
    'Correlation Data is returned unchanged.',
    `${CONTRACT} > a reply on the Response Topic contains the unchanged body and the status of the answer`,
    `${CONTRACT} > each of a thousand simultaneous requests receives its own answer exactly once`,
  ),
  met(
    'C-PROPERTY-3',
    'wire contract, MQTT 5 properties',
    "The smallest of Message Expiry Interval, `timeout-ms` and the model's timeout ends the upstream call.",
    `${BAD_INPUT} > a deadline > from the Message Expiry Interval`,
    `${BAD_INPUT} > a deadline > from timeout-ms`,
    "packages/connector/src/admission/deadline.test.ts > uses the smallest of the Message Expiry Interval, `timeout-ms` and the model's timeout",
    'packages/connector/src/endpoint/http/http-endpoint.test.ts > closes the socket when the deadline passes',
  ),
  met(
    'C-PROPERTY-4',
    'wire contract, MQTT 5 properties',
    'JSON reaches the model server as exactly application/json.',
    `${CONTRACT} > the model server receives the Content-Type application/json without the parameters that the client adds`,
  ),
  met(
    'C-PROPERTY-5',
    'wire contract, MQTT 5 properties; Open Inference Protocol, binary tensor extension',
    'Binary tensors are passed in both directions with `inference-header-content-length`.',
    `${CONTRACT} > binary tensors are forwarded with the length of the JSON part`,
    `${CONTRACT} > without a Content Type, binary tensors are recognized by the length of the JSON part`,
    `${KSERVE} > binary tensors are returned as binary data`,
  ),
  open(
    'C-PROPERTY-6',
    'wire contract, MQTT 5 properties',
    'CBOR and images are accepted if the route of the model has a codec.',
    'There are no routes and no codecs yet.',
  ),
  met(
    'C-PROPERTY-7',
    'wire contract, MQTT 5 properties; W3C Trace Context',
    '`traceparent` and `tracestate` are forwarded to the model server.',
    `${CONTRACT} > the trace context is sent to the model server and returned in the reply`,
    'packages/protocol/src/header.test.ts > an invalid trace context is omitted',
  ),
  met(
    'C-PROPERTY-8',
    'wire contract, MQTT 5 properties; W3C Trace Context',
    "The reply has the request's `traceparent`: the connector records no span, and a participant that records none forwards the context unchanged.",
    `${CONTRACT} > the trace context is sent to the model server and returned in the reply`,
  ),
  met(
    'C-PROPERTY-9',
    'wire contract, MQTT 5 properties',
    'A reply has Content Type and Payload Format Indicator, user properties `status` and `server-timing`, and no others.',
    `${REPLY} > publishes an answer unchanged, with exactly the expected properties`,
    `${CONTRACT} > a reply on the Response Topic contains the unchanged body and the status of the answer`,
  ),
  met(
    'C-PROPERTY-10',
    'wire contract, MQTT 5 properties',
    'An error reply has `status` and `code`.',
    `${REPLY} > publishes a problem with status, code and a body that a KServe client can read`,
    `${BAD_INPUT} > an invalid topic`,
  ),
  met(
    'C-PROPERTY-11',
    'wire contract, MQTT 5 properties',
    "The reply's Message Expiry Interval is the time that remains of the request's Message Expiry Interval.",
    `${CONTRACT} > the reply has the remaining Message Expiry Interval`,
  ),
  met(
    'C-PROPERTY-12',
    'wire contract, MQTT 5 properties',
    'Requests with a higher `priority` run first, as far as the policy allows.',
    'conformance/priority.test.ts > requests with a higher priority run first, as far as the policy allows',
    'conformance/priority.test.ts > a priority that is not a digit is rejected',
    'packages/connector/src/admission/model-gate-priority.test.ts > no request gets its turn while a higher class waits',
  ),
  met(
    'C-PROPERTY-13',
    'wire contract, MQTT 5 properties',
    'In the user property `server-timing`, the time that a request waited for its batch is separate from the time of the call.',
    'packages/connector/src/endpoint/with-batching.test.ts > reports the wait in the batch separately from the call',
    'conformance/batching.test.ts > with a fake model server > requests of many clients share calls, and every client receives its own answer',
  ),
]

const BODIES: readonly Requirement[] = [
  met(
    'C-BODY-1',
    'wire contract, Bodies',
    'The body is the KServe body, byte for byte in both directions.',
    `${CONTRACT} > unusual but valid JSON is forwarded byte for byte`,
    `${KSERVE} > KServe's Python server gives the same answers through the connector as over HTTP`,
    'packages/connector/src/endpoint/http/http-endpoint.test.ts > sends the body unchanged, without unnecessary headers',
  ),
  met(
    'C-BODY-2',
    'wire contract, Bodies',
    'An error\'s body is KServe\'s `{"error"}` with code, status and retryable.',
    `${BAD_INPUT} > an invalid topic`,
    'packages/protocol/src/problem.test.ts > the error body contains neither the detail nor the cause',
  ),
  met(
    'C-BODY-3',
    'wire contract, Bodies',
    'An error of the model server is passed on with its body and its status.',
    `${BAD_INPUT} > the error body from the model %s is forwarded unchanged`,
  ),
  met(
    'C-BODY-4',
    'wire contract, Bodies',
    'A client gets an error reply for every failure of its request.',
    `${BAD_INPUT} > a faulty model server`,
    `${BAD_INPUT} > these tests call every faulty model of the fake server`,
    'packages/connector/src/endpoint/http/judge-answer.test.ts > returns a response or throws a Problem for any input',
  ),
  met(
    'C-BODY-5',
    'wire contract, Bodies',
    'A request without a possible reply topic is acknowledged, counted and logged.',
    `${BAD_INPUT} > on the topic "%s" are acknowledged, counted and logged`,
  ),
  met(
    'C-BODY-6',
    'design, Security',
    'Compressed bodies are rejected in both directions, so that no body grows beyond a limit after it was checked.',
    'conformance/model-server-errors.test.ts > a gzip-compressed body is rejected, and never reaches the model',
    'packages/connector/src/endpoint/http/odd-answers.test.ts > a response with an unrequested content coding',
  ),
  met(
    'C-BODY-7',
    'wire contract, Bodies',
    'Requests that are merged into one call receive the same answers and errors as in calls of their own.',
    'packages/connector/src/endpoint/with-batching.property.test.ts > a request gets the same answer with batching as in a call of its own, whatever other requests are sent',
    "conformance/batching.test.ts > with KServe's Python server",
    'conformance/batching.test.ts > with a fake model server > a poisoned request receives its own error, and all others receive their answers',
    'conformance/batching.test.ts > with a fake model server > a request that is cancelled or reaches its deadline is answered at once; its call continues for the other requests',
  ),
  met(
    'C-BODY-8',
    'wire contract, Bodies',
    'A V1 body whose content type is in `contentTypes` reaches the model byte for byte, and any other type is refused with `unsupported_content_type`.',
    `${KSERVE} > the model receives bodies of listed content types byte for byte, and no bodies of other types`,
    'packages/connector/src/admission/payload.test.ts > passes a listed Content Type through unchanged',
  ),
]

const STREAMS_AND_LATER: readonly Requirement[] = [
  met(
    'C-STREAM-1',
    'wire contract, Streaming',
    'A streaming request gets one reply per event, numbered by `seq`, and then a last message that has `final` and `status`.',
    `${OPENAI} > on KServe > the parts of a %s stream equal the events over HTTP, in the same order`,
    `${OPENAI} > on Triton > generate with "stream": true publishes a part for each event`,
    `${OPENAI} > on MLServer > infer_stream publishes a part for each answer`,
    'conformance/gguf.test.ts > the parts of a streamed chat contain the text and the token counts of the chat over HTTP',
  ),
  met(
    'C-STREAM-2',
    'wire contract, Streaming',
    'A redelivered streaming request joins its running call, or ends with `stream_interrupted` instead of starting over.',
    `${OPENAI} > on KServe > a repeated request joins the running stream, and receives the final message`,
    `${OPENAI} > a stream that was cut off by a connector crash ends with stream_interrupted, and is not restarted`,
  ),
  met(
    'C-STREAM-3',
    'design, Security',
    'The `model` in a body is absent or names the model of the topic; the server receives its own name for the model.',
    `${OPENAI} > the model in a body > %s: the server receives its own name for the model`,
    `${OPENAI} > the model in a body > %s: the request is refused`,
    'packages/connector/src/admission/named-model.test.ts > rejects a body with %s',
  ),
  open(
    'C-BOUND-1',
    'wire contract, Bound topics',
    'A route binds any topic to a model, with named levels, codecs and a reply topic.',
    'Routes and codecs are not built yet.',
  ),
]

/** Requirements of the wire contract. */
export const WIRE_CONTRACT: readonly Requirement[] = [
  ...TOPICS,
  ...OPERATIONS,
  ...PROPERTIES,
  ...BODIES,
  ...STREAMS_AND_LATER,
]
