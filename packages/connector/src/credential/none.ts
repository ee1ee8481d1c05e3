// No credential, for example inside a mesh, where the sidecar's certificate is the identity.
import type { Credential } from './credential.ts'

const NO_HEADERS: readonly string[] = []

/** Adds no headers. */
export const none: Credential = { headers: () => NO_HEADERS }
