// Gives a model with long calls its own session, so that its requests do not delay others, whichever broker is used.
export { Lanes } from './lanes.ts'
