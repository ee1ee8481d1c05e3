// The failures of a token request, and what to do about them.

/** Thrown if an issuer returns no usable token. The message never contains a secret. */
export class IssuerError extends Error {
  override readonly name = 'IssuerError'
  /** Whether another attempt with the same options is expected to fail too. */
  readonly isFinal: boolean
  /** How long the issuer asks the client to wait; undefined = the issuer names no time. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, isFinal: boolean, retryAfterMs?: number) {
    super(message)
    this.isFinal = isFinal
    this.retryAfterMs = retryAfterMs
  }
}

// RFC 6749 §5.2, RFC 8693 §2.2.2 and RFC 8707 §2. Dex answers `access_denied` to a subject token that it rejects.
const REMEDIES: Readonly<Record<string, string>> = {
  invalid_client: 'Check clientId, the content of clientSecretFile, and clientAuthentication.',
  unauthorized_client: 'Allow this grant for the client at the issuer.',
  unsupported_grant_type:
    'The issuer does not support this grant. Dex up to 2.45 has no client credentials: use oauth-token-exchange.',
  invalid_grant: 'Check that the token in subjectTokenFile is valid, and that the issuer trusts its issuer.',
  access_denied:
    'Check that the token in subjectTokenFile is valid, and that the connector named by connectorId trusts its issuer.',
  invalid_request: 'Check scope, audience, resource and the token types; the issuer may require one of them.',
  invalid_scope: 'Check scope.',
  invalid_target: 'Check audience and resource.',
}

/** Returns what to do about an error code of RFC 6749. */
export function remedyFor(code: string): string {
  return Object.hasOwn(REMEDIES, code) ? REMEDIES[code]! : 'Check the options of the credential.'
}
