// Binds a credential to one origin, so that its secret is sent nowhere else.
import assert from 'node:assert/strict'
import type { Credential, CredentialSource } from './credential.ts'

/** Returns the credential for the model server at this origin. */
export function bindCredential(source: CredentialSource, origin: string): Credential {
  return {
    headers(called, deadline) {
      // Always a defect in the connector.
      assert.equal(called, origin, 'A credential was requested for an origin other than its own.')
      return source.headers(deadline)
    },
    ...(source.refresh === undefined ? {} : { refresh: (used, deadline) => source.refresh!(used, deadline) }),
  }
}
