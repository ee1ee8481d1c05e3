// The wire contract: topics, properties, operations, problems, cards, bodies, tensors. Independent of Node.js.
export type { BatchMember, BatchRules } from './batch/batch-rules.ts'
export { readBareTensor } from './body/bare-tensor.ts'
export type { DeclaredInput } from './body/bare-tensor.ts'
export { BodyError } from './body/body-error.ts'
export { DATATYPES, isDatatype, isFloat, isHalf, TYPED_ARRAYS } from './body/datatype.ts'
export type { Datatype, TensorDatatype } from './body/datatype.ts'
export { joinElements } from './body/elements.ts'
export type { CarriedBody } from './body/carried-body.ts'
export { findMembers } from './body/find-members.ts'
export type { FoundMembers, MemberPlace } from './body/find-members.ts'
export { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './body/float16.ts'
export { readMessage } from './body/infer-message.ts'
export type { MessageInput, MessageRequest } from './body/infer-message.ts'
export type { Parameters, ParameterValue } from './body/infer-request.ts'
export { isJsonObject, JsonSyntaxError, parseJson } from './body/json.ts'
export type { Json } from './body/json.ts'
export { rawOf, viewOf } from './body/raw-tensor.ts'
export { countOf, flatten, printShape, toFlatJson, toNestedJson, toTensorData } from './body/tensor.ts'
export type { Tensor, TensorData } from './body/tensor.ts'
export type { Float16Values, InputTensor, InputValues, ValuesOf } from './body/typed-tensor.ts'
export { readV2Answer, toFloat32 } from './body/v2-answer.ts'
export type { OutputTensor, V2Answer } from './body/v2-answer.ts'
export { checkOutputs, readShape } from './body/v2-fields.ts'
export { writeBinaryCall, writeJsonCall } from './body/v2-body.ts'
export type { V2Call } from './body/v2-body.ts'
export { writeJson } from './body/write-json.ts'
export { writeMessage } from './body/write-message.ts'
export type { MessageOutput, MessageResponse, WrittenMessage } from './body/write-message.ts'
export { fitRequest, readV2Request, toModelInput } from './body/v2-request.ts'
export type { V2Request } from './body/v2-request.ts'
export { belongsToDiscovery } from './belongs-to-discovery.ts'
export { CONTRACT_VERSION } from './card.ts'
export type { ConnectorStatus, DiscoveryStatus, ModelCard, ModelState, TensorMetadata } from './card.ts'
export {
  batchRulesOf,
  defaultOperationOf,
  dialectNames,
  dialectOf,
  dialectOfKind,
  DIALECTS,
  fitsRoutes,
  isServerModelName,
  offeredOperations,
  operationMeaning,
  operationOfBody,
  operationRoute,
  operationsOf,
  optionalOperations,
  versionedDialects,
} from './dialect/index.ts'
export type { Dialect, DialectKind, Route, RouteKind, StreamKind } from './dialect/index.ts'
export { grpcMethod, protocolOf, protocolVersions } from './dialect/protocol-version.ts'
export type { ProtocolVersion, Transport } from './dialect/protocol-version.ts'
export { CONTENTS_LISTS, hasContents, toContents } from './grpc/wire-contents.ts'
export { fromWireInteger, fromWireSize, toWireInteger } from './grpc/wire-integer.ts'
export type { WireInteger } from './grpc/wire-integer.ts'
export type {
  WireContents,
  WireParameter,
  WireParameters,
  WireRequest,
  WireResponse,
  WireTensor,
} from './grpc/wire-message.ts'
export { isAllowableHeader, isTraceparent, passedHeaders, PASSED_HEADERS_MAX } from './header.ts'
export { COALESCE_MS_MAX, PROPERTY, userProperty } from './message.ts'
export type { MessageProperties, QoS } from './message.ts'
export { nearestName } from './nearest.ts'
export { isOperationName, OPERATIONS } from './operation.ts'
export type { OperationKind, OperationName } from './operation.ts'
export { hasPemPrivateKey, pemCertificates } from './pem.ts'
export { Problem, PROBLEMS } from './problem.ts'
export type { ProblemBody, ProblemCode, ProblemKind, ProblemOptions } from './problem.ts'
export { readCard } from './read-card.ts'
export type { CardReading, ReceivedCard } from './read-card.ts'
export { readStatus } from './read-status.ts'
export { tlsFailure } from './tls-failure.ts'
export type { ErrorLike, TlsFailure, TlsFailureKind } from './tls-failure.ts'
export {
  isCleanLevel,
  isModelName,
  isPublishable,
  matchesFilter,
  TOPIC_LENGTH_MAX,
  TOPIC_LEVEL_LENGTH_MAX,
  TopicSpace,
} from './topic.ts'
export type { RequestTopic } from './topic.ts'
