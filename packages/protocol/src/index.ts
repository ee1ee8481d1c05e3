// The words on the wire: topics, properties, problems, cards. No sockets, no Node.js, no dependencies.
export { CONTRACT_VERSION } from './card.ts'
export type { ConnectorStatus, ModelCard, TensorMetadata } from './card.ts'
export { isAllowableHeader, isTraceparent, passedHeaders, PASSED_HEADERS_MAX } from './header.ts'
export { PROPERTY, userProperty } from './message.ts'
export type { MessageProperties, QoS } from './message.ts'
export { nearestName } from './nearest.ts'
export { defaultOperationOf, isOperationName, OPERATIONS, operationsOf } from './operation.ts'
export type { InferenceProtocol, OperationKind, OperationName } from './operation.ts'
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
