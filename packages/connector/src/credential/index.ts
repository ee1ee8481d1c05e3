// The front of the credential room.
export { createCredential } from './create-credential.ts'
