// One requirement for each problem code: the client receives the code if, and only if, its condition holds.
import { met, type Requirement } from './requirement.ts'

const BAD_INPUT = 'conformance/bad-input.test.ts'
const SOURCE = 'wire contract, Bodies'

const code = (name: string, when: string, ...tests: string[]): Requirement =>
  met(`C-CODE-${name}`, SOURCE, `\`${name}\`: ${when}`, ...tests)

const wrong = (title: string): string => `${BAD_INPUT} > ${title}`
const CLIENT = 'packages/client/src'

/** One requirement for each problem code. */
export const PROBLEM_CODES: readonly Requirement[] = [
  code('bad_topic', 'the topic does not follow the grammar.', wrong('an invalid topic > no model')),
  code('bad_payload', 'the body is not valid for the operation.', wrong('an invalid body > a JSON array')),
  code('retained_request', 'the request has the Retain flag.', wrong('a retained request > is rejected')),
  code(
    'unsupported_content_type',
    'the model does not accept the content type.',
    wrong('an invalid body > another content type'),
  ),
  code(
    'payload_too_large',
    'the body exceeds the size limit.',
    wrong('an invalid body > too large'),
    wrong('a body that exceeds the memory limits'),
  ),
  code('model_not_found', 'the model is not exposed.', wrong('an invalid topic > an unknown model')),
  code(
    'operation_not_supported',
    'the model does not offer the operation.',
    wrong('an invalid topic > an unknown operation'),
  ),
  code(
    'response_topic_forbidden',
    "the Response Topic is not the client's own.",
    wrong("a Response Topic outside the client's subtree"),
  ),
  code(
    'forbidden_model',
    'the policy denies this client the model.',
    'packages/connector/src/connector.test.ts > a reload adds and removes models and changes the policy without reconnecting',
  ),
  code(
    'model_not_ready',
    'the server does not serve the model yet.',
    wrong('notready'),
    wrong('unknownprotocol'),
  ),
  code(
    'overloaded',
    "the model's limits are reached; the reply states how long to wait before a retry.",
    'conformance/contract.test.ts > requests above the limits of a model are rejected at once, and requests within the limits are answered',
    'packages/connector/src/admission/model-gate.test.ts > behaves like a simple reference gate for any sequence of arrivals, ends and expiries',
  ),
  code('deadline_exceeded', 'the deadline passed.', wrong('a deadline > from the Message Expiry Interval')),
  code(
    'maybe_executed',
    'a request is repeated, and its model must not execute a request twice.',
    'conformance/admission.test.ts > for a model with repeatable: false, is answered from memory or with maybe_executed',
  ),
  code(
    'cancelled',
    'the client cancelled the request.',
    'conformance/admission.test.ts > stops only the request with the same Correlation Data, whether that request is running or waiting',
    'conformance/admission.test.ts > is sent by the SDK when a request is aborted',
    `${CLIENT}/client.test.ts > an abort before or after sending ends the request with cancelled`,
  ),
  code(
    'upstream_unreachable',
    'the server cannot be reached, or the connection breaks.',
    wrong('reset'),
    wrong('cut'),
    wrong('down'),
  ),
  code(
    'circuit_open',
    'the server failed several times in a row; the reply states how long to wait before a retry.',
    'conformance/upstream-faults.test.ts > when a model server dies under load, requests fail at once; the circuit opens within a second, and closes within two seconds of the restart',
    'packages/connector/src/endpoint/with-breaker.test.ts > an open circuit rejects requests at once',
  ),
  code('upstream_error', 'the model server answers with an error.', wrong('error400'), wrong('error200')),
  code(
    'upstream_invalid_response',
    'the response is not from a model server.',
    wrong('html200'),
    wrong('garbage'),
    'packages/connector/src/endpoint/http/judge-answer.test.ts > header fields that would break an MQTT packet or its reader',
  ),
  code(
    'response_too_large',
    'the answer exceeds the size limit of the model or of the broker.',
    wrong('endless'),
    "conformance/broker-faults.test.ts > an answer that exceeds the broker's Maximum Packet Size is replaced by an error with a code",
  ),
  code(
    'unauthorized_upstream',
    "a gateway rejects the connector's credentials.",
    wrong('jwt401'),
    wrong('rbac403'),
    wrong('html403'),
  ),
  code(
    'stream_interrupted',
    'a stream broke, or its request was redelivered.',
    'conformance/openai.test.ts > on KServe > a stream that the server cuts off ends with stream_interrupted after its parts',
    'conformance/openai.test.ts > a stream that was cut off by a connector crash ends with stream_interrupted, and is not restarted',
  ),
  code(
    'internal',
    'the connector has a fault; the reply contains no details of the fault.',
    'packages/protocol/src/problem.test.ts > a thrown Problem is kept; any other thrown value becomes an internal Problem',
  ),
  code(
    'no_connector',
    "at the client: the broker's PUBACK reports no matching subscribers.",
    `${CLIENT}/client.test.ts > a request fails at once with no_connector if no connector is subscribed`,
    'conformance/client.test.ts > if there is no subscriber, a request fails with no_connector at once; with waitForConnector it waits for a connector',
  ),
  code(
    'not_authorized',
    'at the client: the access rules of the broker forbid the request.',
    `${CLIENT}/client.test.ts > a request that the access rules forbid`,
    "conformance/client.test.ts > a wrong password and the use of another user's topics are rejected with not_authorized",
  ),
  code(
    'broker_unreachable',
    'at the client: no MQTT broker answers.',
    `${CLIENT}/mqtt-connection.test.ts > connect() fails with broker_unreachable if a broker disconnects, is silent or does not use MQTT`,
  ),
  code(
    'certificate_refused',
    "at the client: the broker's certificate is not trusted, or is for a different host name.",
    'conformance/cli-surroundings.test.ts > TLS > the SDK error for a self-signed certificate names the ca option',
    'conformance/cli-surroundings.test.ts > TLS > the error for a certificate that is valid for another name suggests that name',
  ),
]
