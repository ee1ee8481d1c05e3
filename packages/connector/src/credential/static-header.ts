// A fixed header with a secret value, such as x-api-key.
import { assertOrigin } from './own-origin.ts'
import type { Credential } from './credential.ts'
import { SecretFile } from './secret-file.ts'

/** The credential `{name}: {content of the file}`, bound to one origin. */
export function staticHeader(name: string, path: string, origin: string, now?: () => number): Credential {
  const file = new SecretFile(path, () => undefined, now)
  let headers: readonly string[] = []
  return {
    headers(callOrigin) {
      assertOrigin(origin, callOrigin)
      const value = file.read()
      if (headers[1] !== value) headers = [name, value]
      return headers
    },
    refresh: () => file.refresh(),
  }
}
