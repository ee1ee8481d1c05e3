// The words on the wire: topics, properties, problems, cards. No sockets, no Node.js, no dependencies.
export { CONTRACT_VERSION } from './card.ts'
export type { ConnectorStatus, ModelCard, TensorMetadata } from './card.ts'
export {
  defaultOperationOf,
  dialectNames,
  dialectOf,
  DIALECTS,
  operationMeaning,
  operationRoute,
  operationsOf,
  versionedDialects,
} from './dialect/index.ts'
export type { Dialect, DialectKind, Route } from './dialect/index.ts'
export { isAllowableHeader, isTraceparent, passedHeaders, PASSED_HEADERS_MAX } from './header.ts'
export { PROPERTY, userProperty } from './message.ts'
export type { MessageProperties, QoS } from './message.ts'
export { nearestName } from './nearest.ts'
export { isOperationName, OPERATIONS } from './operation.ts'
export type { OperationKind, OperationName } from './operation.ts'
export { Problem, PROBLEMS } from './problem.ts'
export type { ProblemBody, ProblemCode, ProblemKind, ProblemOptions } from './problem.ts'
export {
  isCleanLevel,
  isModelName,
  isPublishable,
  TOPIC_LENGTH_MAX,
  TOPIC_LEVEL_LENGTH_MAX,
  TopicSpace,
} from './topic.ts'
export type { RequestTopic } from './topic.ts'
