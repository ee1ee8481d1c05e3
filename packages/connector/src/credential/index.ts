// Creates the credential headers of calls to model servers: none, a token from a file or an OAuth 2.0 issuer, or a fixed
// header.
export { CredentialStore } from './credential-store.ts'
