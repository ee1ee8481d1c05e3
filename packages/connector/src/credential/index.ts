// Creates the credential headers of calls to model servers: none, a bearer token from a file, or a fixed header.
export { createCredential } from './create-credential.ts'
