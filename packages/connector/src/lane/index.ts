// Gives a model with long calls its own session, so that its requests do not delay those of other models,
// whichever broker is used.
export { Lanes } from './lanes.ts'
