// Prevents a secret from being sent to an origin other than the configured one.
import assert from 'node:assert/strict'

/** @throws AssertionError: a call to another origin is a defect of the connector, never the fault of a request. */
export function assertOrigin(own: string, called: string): void {
  assert.equal(called, own, 'A credential was requested for an origin other than its own.')
}
