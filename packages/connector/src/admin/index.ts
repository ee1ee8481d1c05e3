// The front of the admin room.
export { startAdminServer, type AdminServer, type AdminViews } from './admin-server.ts'
export { Exposition, type LiveState } from './exposition.ts'
