// Tracks the other connectors under the same root by their retained statuses, so that a request for one of their models
// is left to them.
export { Peers } from './peers.ts'
