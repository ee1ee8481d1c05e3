// Runs an embedded broker, a model server and a connector in one process.
export { VERSION } from '@inferwire/connector'
export { runDev } from './run-dev.ts'
export { PortTakenError, readAccess, startBroker, type Broker } from './broker/index.ts'
export { startStack, type DevOptions, type DevStack } from './stack.ts'
