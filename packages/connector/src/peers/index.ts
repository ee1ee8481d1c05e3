// Tracks the other connectors under the same root by their retained statuses, so that this connector leaves requests
// for their models to them.
export { Peers } from './peers.ts'
