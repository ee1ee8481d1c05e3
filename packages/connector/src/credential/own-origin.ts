// Prevents a secret from being sent to an origin other than the configured one.
import assert from 'node:assert/strict'

/**
 * Checks the origin of a call. @throws AssertionError for another origin, which is always a defect in the connector.
 */
export function assertOrigin(own: string, called: string): void {
  assert.equal(called, own, 'A credential was requested for an origin other than its own.')
}
