// Keeps a secret at the origin that it was configured for.
import assert from 'node:assert/strict'

/** @throws AssertionError: a call to another origin is a fault of ours, never of a request. */
export function assertOrigin(own: string, called: string): void {
  assert.equal(called, own, 'A credential was asked for another origin than its own.')
}
