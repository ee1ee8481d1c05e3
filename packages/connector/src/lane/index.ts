// Gives a model with long calls its own session, so that its requests delay no other requests, with any broker.
export { Lanes } from './lanes.ts'
