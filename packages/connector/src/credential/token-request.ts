// Sends a token request (RFC 6749 §3.2). The library, which builds the request and authenticates the client, is loaded
// only if a credential needs it.
import type { Secret } from '../config/index.ts'
import { callIssuer, type IssuerAnswer } from './issuer-call.ts'

/** A token request. */
export interface TokenRequest {
  readonly tokenUrl: string
  readonly grant: string
  readonly clientId: string
  readonly clientSecret: Secret
  readonly clientAuthentication: 'basic' | 'post'
  readonly parameters: Readonly<Record<string, string>>
  readonly secretParameters: readonly (readonly [name: string, value: Secret])[]
  /** PEM of the trusted authorities; undefined = those of Node.js. */
  readonly ca: Buffer | undefined
  /** @default 10000 */
  readonly timeoutMs?: number
}

// Longer than an issuer needs under load, and shorter than the default deadline of a request.
const TIMEOUT_MS = 10_000

/** Resolves with the issuer's answer, whatever it is. @throws IssuerError if there is no complete answer */
export async function requestToken(request: TokenRequest): Promise<IssuerAnswer> {
  const { tokenUrl, clientSecret, parameters, secretParameters, ca, timeoutMs = TIMEOUT_MS } = request
  const oauth = await import('oauth4webapi')
  const authenticate =
    request.clientAuthentication === 'basic' ? oauth.ClientSecretBasic : oauth.ClientSecretPost
  let answer: IssuerAnswer | undefined
  await oauth.genericTokenEndpointRequest(
    { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl },
    { client_id: request.clientId },
    authenticate(clientSecret.reveal()),
    request.grant,
    {
      ...parameters,
      ...Object.fromEntries(secretParameters.map(([name, secret]) => [name, secret.reveal()])),
    },
    {
      // The configuration allows http only inside the machine or the cluster.
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: async (url, { headers, body }) => {
        answer = await callIssuer({ url: new URL(url), headers, body: body.toString(), ca, timeoutMs })
        // The answer itself is judged elsewhere: see decision 0013.
        return new Response(null)
      },
    },
  )
  return answer!
}
