// The V2 protocol: Open Inference Protocol.
import { tensorsRules } from '../batch/tensors.ts'
import type { DialectKind } from './dialect-kind.ts'

/** The V2 entry of the dialect table. */
export const v2 = {
  title: 'V2',
  defaultOperation: 'infer',
  // Triton and MLServer have the repository index, KServe's Python server has the other list.
  modelLists: [
    { method: 'POST', path: '/v2/repository/index' },
    { method: 'GET', path: '/v2/models' },
  ],
  hasBinaryTensors: true,
  bodyMember: 'inputs',
  batching: tensorsRules,
  routes: {
    infer: { method: 'POST', path: '/v2/models/{model}[/versions/{version}]/infer' },
    // An MLServer extension.
    infer_stream: {
      method: 'POST',
      path: '/v2/models/{model}[/versions/{version}]/infer_stream',
      isOptional: true,
      stream: { when: 'always' },
    },
    // Triton's generate extension. On MLServer, the path is another name for `infer`.
    generate: {
      method: 'POST',
      path: '/v2/models/{model}[/versions/{version}]/generate',
      isOptional: true,
      notWith: 'infer_stream',
      stream: { when: 'requested', path: '/v2/models/{model}[/versions/{version}]/generate_stream' },
    },
    metadata: { method: 'GET', path: '/v2/models/{model}[/versions/{version}]' },
    ready: { method: 'GET', path: '/v2/models/{model}[/versions/{version}]/ready' },
  },
  // The methods of the service `inference.GRPCInferenceService`.
  grpcMethods: {
    infer: 'ModelInfer',
    infer_stream: 'ModelStreamInfer',
    metadata: 'ModelMetadata',
    ready: 'ModelReady',
  },
} as const satisfies DialectKind
