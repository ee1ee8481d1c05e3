// Everything in one process: embedded broker, model server, connector.
export { runDev } from './run-dev.ts'
export { PortTakenError, readAccess, startBroker, type Broker } from './broker/index.ts'
export { startStack, type DevOptions, type DevStack } from './stack.ts'
