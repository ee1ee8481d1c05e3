// Serves `/livez`, `/readyz` and `/metrics` for probes and scrapers.
export { startAdminServer, type AdminServer } from './admin-server.ts'
export { createMetrics, describeMetrics } from './metrics.ts'
