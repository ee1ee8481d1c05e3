// A bearer token from a file: a projected ServiceAccount token or any other JWT.
import type { Credential } from './credential.ts'
import { assertOrigin } from './own-origin.ts'
import { SecretFile } from './secret-file.ts'

/** The credential `Authorization: Bearer …`, bound to one origin. */
export function tokenFile(path: string, origin: string, now?: () => number): Credential {
  const file = new SecretFile(path, tokenMistake, now)
  let token: string | undefined
  let headers: readonly string[] = []
  return {
    headers(callOrigin) {
      assertOrigin(origin, callOrigin)
      const current = file.read()
      if (current !== token) {
        token = current
        // Istio's filter compares the scheme case-sensitively.
        headers = ['authorization', `Bearer ${current}`]
      }
      return headers
    },
    refresh: () => file.refresh(),
  }
}

function tokenMistake(value: string): string | undefined {
  return /\s/.test(value) ? 'must contain only the token, without "Bearer" and without spaces' : undefined
}
