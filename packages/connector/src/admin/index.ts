// The front of the admin room.
export { startAdminServer, type AdminServer } from './admin-server.ts'
export { createMetrics } from './metrics.ts'
