// Sends requests to models over MQTT: the API for applications.
export type { RequestBody } from './body.ts'
export type { Client, GenerationOptions, StreamRequest } from './client.ts'
export { connect } from './connect.ts'
export { InferwireError } from './error.ts'
export type { InferwireErrorCode, LocalCode } from './error.ts'
export type { InferStream } from './infer-stream.ts'
export type { ResultOptions, Submission, SubmitOptions } from './long-work.ts'
export type { ModelsOptions, RetainedOptions } from './models.ts'
export type * from './openai-types.ts'
export type { ConnectOptions, InferOptions, StreamOptions } from './options.ts'
export type { Reply } from './reply.ts'
export type { StreamPart } from './stream-part.ts'
export type { TensorOptions, TensorReply } from './tensor-calls.ts'
export type { TokenUsage } from './token-usage.ts'
export type { ClientStats } from './traffic.ts'
export { fromBfloat16, fromFloat16, toBfloat16, toFloat16, toFloat32 } from '@inferwire/protocol'
export type { ConnectorStatus, ReceivedCard as ModelCard } from '@inferwire/protocol'
export type {
  Float16Values,
  InputTensor,
  InputValues,
  OutputTensor,
  TensorDatatype,
} from '@inferwire/protocol'
