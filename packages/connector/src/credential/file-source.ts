// Credentials whose secret is the content of a file: a bearer token, or the value of a fixed header.
import { headerValueMistake, type Secret } from '../config/index.ts'
import type { CredentialSource, SourceParts } from './credential.ts'
import { SecretFile, type Judge } from './secret-file.ts'

/** The credential `Authorization: Bearer …`: a projected ServiceAccount token or any other token. */
export function tokenFile(path: string, parts: SourceParts): CredentialSource {
  // Istio's filter compares the scheme case-sensitively.
  return fromFile(path, tokenMistake, parts, (secret) => ['authorization', `Bearer ${secret.reveal()}`])
}

/** The credential `{name}: {content of the file}`, such as x-api-key. */
export function staticHeader(name: string, path: string, parts: SourceParts): CredentialSource {
  return fromFile(path, headerValueMistake, parts, (secret) => [name, secret.reveal()])
}

function fromFile(
  path: string,
  judge: Judge,
  parts: SourceParts,
  toHeaders: (secret: Secret) => readonly string[],
): CredentialSource {
  const file = new SecretFile(path, judge, parts)
  let secret: Secret | undefined
  let headers: readonly string[] = []
  const current = (): readonly string[] => {
    const read = file.read()
    if (read !== secret) {
      secret = read
      headers = toHeaders(read)
    }
    return headers
  }
  return {
    headers: current,
    // Another request may have read the new secret after the rejected call was sent.
    refresh(used) {
      if (current() !== used) return true
      file.look()
      return current() !== used
    },
  }
}

/** Returns the mistake in a bearer token, to complete a sentence that begins with the file; undefined for a token. */
export function tokenMistake(value: string): string | undefined {
  return /\s/.test(value) ? 'must contain only the token, without "Bearer" and without spaces' : undefined
}
