// Gives a model with long calls its own session, so that its requests delay nothing else, whatever the broker.
export { Lanes } from './lanes.ts'
