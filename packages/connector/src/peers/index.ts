// Tracks the other connectors under the same root by their retained statuses, so that this connector leaves requests
// for another connector's models to that connector.
export { Peers } from './peers.ts'
