// Safekeeping: requests that the broker holds no longer and that are not answered yet, on disk.
export { Safekeeping } from './safekeeping.ts'
