// The front of the admin room.
export { startAdminServer, type AdminServer, type AdminViews } from './admin-server.ts'
export type { LiveState } from './exposition.ts'
export { createMetrics } from './metrics.ts'
