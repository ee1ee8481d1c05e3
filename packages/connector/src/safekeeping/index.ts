// Stores on disk the unanswered requests whose Packet Identifiers had to be given up, so that a crash does not lose
// them.
export { Safekeeping } from './safekeeping.ts'
