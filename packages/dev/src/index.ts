// Runs embedded broker, model server and connector in one process.
export { runDev } from './run-dev.ts'
export { PortTakenError, readAccess, startBroker, type Broker } from './broker/index.ts'
export { startStack, type DevOptions, type DevStack } from './stack.ts'
