// Peers: the other connectors under the same root, as their retained statuses describe them.
export { Peers } from './peers.ts'
