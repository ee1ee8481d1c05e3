// Stores unanswered requests on disk whose Packet Identifier had to be given up, so that a crash does not lose them.
export { Safekeeping } from './safekeeping.ts'
