// Security requirements that tests can verify.
import { met, type Requirement } from './requirement.ts'

const BAD_INPUT = 'conformance/bad-input.test.ts'
const TOPIC = 'packages/protocol/src/topic.test.ts'
const ENDPOINT = 'packages/connector/src/endpoint/http/http-endpoint.test.ts'
const CREDENTIAL = 'packages/connector/src/credential/credential.test.ts'
const OAUTH = 'packages/connector/src/credential/oauth.test.ts'
const RENEWED = 'packages/connector/src/credential/renewed-token.test.ts'
const REGISTRY = 'packages/connector/src/model-registry-credentials.test.ts'
const SECURITY_PAGE = 'design, Security'
const POLICY = 'conformance/policy.test.ts'
const POLICY_UNIT = 'packages/connector/src/admission/policy.test.ts'

/** Security requirements. */
export const SECURITY: readonly Requirement[] = [
  met(
    'X-PATH-1',
    SECURITY_PAGE,
    "A client's data never selects a host, and never selects a path that does not belong to the model.",
    `${BAD_INPUT} > an invalid topic > a percent sign`,
    `${TOPIC} > accepts only model names that have no special meaning in a path`,
    `${ENDPOINT} > each operation has its own method and path`,
  ),
  met(
    'X-HEADER-1',
    SECURITY_PAGE,
    'Only listed headers are passed on, by exact lower-case name; headers for identity, routing and framing cannot be listed.',
    `${BAD_INPUT} > a client cannot set a header that is not listed`,
    'packages/protocol/src/header.test.ts > 10,000 random lists of names and values never add a header',
    'packages/protocol/src/header.test.ts > no configuration allows headers for identity',
  ),
  met(
    'X-REPLY-1',
    SECURITY_PAGE,
    "A Response Topic is used only if it is a topic name strictly inside the client's own reply subtree.",
    `${BAD_INPUT} > a Response Topic outside the client's subtree`,
    `${TOPIC} > a reply topic > belongs to the client if and only if`,
    `${TOPIC} > a reply topic > derived from any topic is inside the subtree`,
  ),
  met(
    'X-REPLY-2',
    SECURITY_PAGE,
    'A reply is built from an allow-list; no request property or upstream header is copied unchecked.',
    'packages/connector/src/reply/reply.test.ts > publishes an answer unchanged, with exactly the expected properties',
    'packages/connector/src/endpoint/http/judge-answer.test.ts > header fields that would break an MQTT packet or its reader',
  ),
  met(
    'X-POLICY-1',
    SECURITY_PAGE,
    'The policy specifies which client may use which model; an empty policy denies all. A forbidden model looks like an unknown one.',
    `${BAD_INPUT} > a request for a forbidden model gets the same answer as a request for a missing model`,
    'packages/connector/src/route/route.test.ts > reports the same problem for a forbidden model as for an unknown model, and gives the reason only to the log',
    `${POLICY_UNIT} > allows everything without a policy section, and nothing with an empty policy section`,
    `${POLICY} > each client, model and operation > an unknown model and a forbidden one have the same answer`,
    'packages/connector/src/route/route.test.ts > the standard topics > wait with the answer for a hidden model as long as with the answer for an unknown model',
  ),
  met(
    'X-POLICY-2',
    SECURITY_PAGE,
    'The policy specifies which operations of a model a client may use. A forbidden operation looks like one that the model does not offer.',
    `${POLICY} > each client, model and operation > the policy decides`,
    `${POLICY_UNIT} > operations > are allowed if one of the rules that match the client and the model contains them`,
    'packages/connector/src/route/route.test.ts > reports the same problem for a hidden operation as for one that the model does not offer',
  ),
  met(
    'X-POLICY-3',
    SECURITY_PAGE,
    'A rule of the policy limits the size of bodies and the rate of each client, in bounded memory. A client above its rate does not affect other clients.',
    `${POLICY} > a client that exceeds the rate of its rule does not slow down another client's requests`,
    `${POLICY} > a body above the limit of the rule is rejected, although the model accepts it`,
    'packages/connector/src/admission/rate-buckets.test.ts > never admits more than a bucket of tokens would',
    'packages/connector/src/admission/rate-buckets.test.ts > keeps a bounded number of buckets, and drops full ones first',
    'packages/connector/src/pipeline-policy.test.ts > a redelivered request does not count against the rate',
  ),
  met(
    'X-POLICY-4',
    SECURITY_PAGE,
    'A reload of the policy loses no request, and each answer follows the policy before or after it.',
    `${POLICY} > a reload under load loses no request, and each answer follows the policy before or after it`,
    `${POLICY_UNIT} > the limits of several matching rules > survive a reload that leaves the rule unchanged`,
  ),
  met(
    'X-POLICY-5',
    SECURITY_PAGE,
    '`inferwire policy test` decides as the connector does, and names the rule and the reason.',
    `${POLICY} > each client, model and operation > \`inferwire policy test\` decides in the same way`,
    'packages/connector/src/policy-explanation.test.ts > agrees with the policy for any rules',
    'packages/connector/src/policy-explanation.test.ts > states why a request is denied, and which rules match most of it',
  ),
  met(
    'X-POLICY-6',
    'docs/guides/connect-to-your-broker.md, Model cards',
    'With access rules for each user, a client receives only the cards of the models that it may use.',
    `${POLICY} > with the access rules of the guide, a client receives only the cards of the models that it may use`,
  ),
  met(
    'X-RETAIN-1',
    SECURITY_PAGE,
    'Requests with the Retain flag are rejected, and replies are never retained.',
    `${BAD_INPUT} > a retained request`,
    'conformance/contract.test.ts > a reply on the Response Topic contains the unchanged body and the status of the answer',
  ),
  met(
    'X-UPSTREAM-1',
    SECURITY_PAGE,
    'The connector follows no redirect, requests no content encoding, and limits the size of answers.',
    `${ENDPOINT} > does not follow a redirect`,
    `${ENDPOINT} > sends the body unchanged, without unnecessary headers`,
    `${ENDPOINT} > rejects a response over the size limit`,
  ),
  met(
    'X-CREDENTIAL-1',
    SECURITY_PAGE,
    'Credentials are reread when they rotate, and sent only to their origin; a call whose credentials are rejected is retried once.',
    `${ENDPOINT} > rereads the token after a rejection, and retries once if the token changed`,
    `${ENDPOINT} > rereads the token only once if it is rejected repeatedly`,
    `${CREDENTIAL} > refresh rereads the file at once, and returns whether the secret has changed`,
    `${CREDENTIAL} > refresh returns true if another call has already read the new secret`,
    `${CREDENTIAL} > never returns a secret for another origin`,
  ),
  met(
    'X-CREDENTIAL-2',
    SECURITY_PAGE,
    'Secrets are printed as ***, and appear in no log, error or metric.',
    `${BAD_INPUT} > the broker password is in neither the connector's metrics nor its log`,
    'packages/connector/src/config/secret.test.ts > a secret is printed as *** in every form',
    'conformance/cli.test.ts > the connector does not print its password',
  ),
  met(
    'X-UPSTREAM-2',
    SECURITY_PAGE,
    'The Host header is independent of the address to connect to.',
    `${ENDPOINT} > sends the configured Host instead of the address`,
  ),
  met(
    'X-CREDENTIAL-3',
    SECURITY_PAGE,
    'OAuth2 client credentials and token exchange are supported.',
    `${OAUTH} > client credentials send what RFC 6749 requires, with the client in the header or in the body`,
    `${OAUTH} > token exchange sends the token of the file, its type and the connector of Dex`,
  ),
  met(
    'X-CREDENTIAL-4',
    SECURITY_PAGE,
    'A token of an issuer is renewed before it expires, with one request at a time. A call waits for a token only if there is none, and never beyond its deadline.',
    `${RENEWED} > renews the token at 80 % of its lifetime, while calls use the old one`,
    `${RENEWED} > a thousand calls wait for one request, and then use the same array without a promise`,
    `${RENEWED} > keeps the old token until it dies while the issuer is down, with a growing pause between requests`,
    `${RENEWED} > a call that waits ends with its deadline, and the reason is the issuer, not the model server`,
    `${RENEWED} > a rejection of many calls causes one request, and each call repeats once`,
  ),
  met(
    'X-CREDENTIAL-5',
    SECURITY_PAGE,
    'A mistake of an issuer is named, without a secret: a redirect, a web page, an OAuth error, an answer that is too large or too slow.',
    `${OAUTH} > names the mistake, without a secret, if the issuer answers with %s`,
    `${OAUTH} > keeps trying after %s`,
    `${OAUTH} > ends a request to an issuer that is slow, or that sends its answer one byte at a time`,
  ),
  met(
    'X-CREDENTIAL-6',
    SECURITY_PAGE,
    'A named credential is sent only to its origins; a discovered model can use only a credential with origins.',
    `${REGISTRY} > refuses a model whose server is not among the origins of the credential`,
    `${REGISTRY} > after a reload that withdraws a credential, a model that was set individually is no longer exposed`,
    'packages/connector/src/config/origin-pattern.test.ts > %s matches %s: %s',
    'packages/connector/src/config/origin-pattern.test.ts > rejects the pattern %j',
  ),
  met(
    'X-CREDENTIAL-7',
    SECURITY_PAGE,
    'Passwords of users, session cookies and Basic authentication are refused in the configuration, with the reason.',
    'packages/connector/src/config/load.test.ts > reports the place of a mistake and its remedy: %s',
    'packages/connector/src/config/contradictions.test.ts > rejects Basic credentials in the file of a header, and does not show them',
  ),
  met(
    'X-LOG-1',
    SECURITY_PAGE,
    'A client can neither flood the log nor send control characters to a terminal.',
    'packages/connector/src/telemetry/problem-log.test.ts > writes one line per second for each model and code, with the number of suppressed lines',
    "packages/connector/src/telemetry/log.test.ts > writes no control characters to a terminal, even those in a client's topic",
  ),
  met(
    'X-ADMIN-1',
    SECURITY_PAGE,
    'The admin endpoint is read-only.',
    'packages/connector/src/admin/admin-server.test.ts > returns 404 for other paths, and 405 for methods other than GET and HEAD',
  ),
  met(
    'X-ADMIN-2',
    SECURITY_PAGE,
    'The admin endpoint checks Host, so that a web page cannot read it by DNS rebinding.',
    'packages/connector/src/admin/admin-server.test.ts > on loopback, rejects the Host "%s"',
    "packages/connector/src/admin/admin-server.test.ts > on addresses other than loopback, accepts any Host, because kubelet and Prometheus use the pod's address",
    'packages/connector/src/admin/admin-server.test.ts > answers 400 to a request with %s',
  ),
  met(
    'X-DEV-1',
    SECURITY_PAGE,
    "The development broker's WebSocket listens on loopback and rejects web pages of other origins.",
    'packages/dev/src/broker/local-page.test.ts > refuses an upgrade without a Host header',
    'packages/dev/src/broker/local-page.test.ts > refuses an upgrade with two Host headers',
    'packages/dev/src/broker/embedded.test.ts > listens on loopback only',
  ),
]
