// A bearer token from a file: a projected ServiceAccount token or any JWT.
import { Problem } from '@inferwire/protocol'
import { assertOrigin } from './own-origin.ts'
import type { Credential } from './credential.ts'
import { SecretFile } from './secret-file.ts'

/** `Authorization: Bearer …`, bound to one origin. */
export function tokenFile(path: string, origin: string, now?: () => number): Credential {
  const file = new SecretFile(path, now)
  let token: string | undefined
  let headers: readonly string[] = []
  return {
    headers(callOrigin) {
      assertOrigin(origin, callOrigin)
      const current = file.read()
      if (current !== token) {
        if (/\s/.test(current)) {
          throw new Problem('unauthorized_upstream', 'The connector has no usable token for this model.', {
            detail: `file "${path}" must hold the token alone, without "Bearer" and spaces.`,
          })
        }
        token = current
        // The scheme is case-sensitive for Istio's filter.
        headers = ['authorization', `Bearer ${current}`]
      }
      return headers
    },
    refresh: () => file.refresh(),
  }
}
