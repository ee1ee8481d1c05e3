// Reads the specification of an InferenceService: mode, model name, protocol, scale to zero, deadline, batcher.
import {
  dialectOfKind,
  protocolOf,
  protocolVersions,
  type Dialect,
  type ProtocolVersion,
} from '@inferwire/protocol'
import { TIMEOUT_MAX_MS } from './annotations.ts'
import type { ObjectKey, Refusal } from './discovered-model.ts'
import {
  annotationOf,
  listAt,
  mapAt,
  mapsAt,
  numberAt,
  shown,
  textAt,
  valueAt,
  type UntrustedObject,
} from './untrusted-object.ts'

/** How KServe runs an InferenceService. The names Serverless and RawDeployment are those before KServe 0.16. */
export type Mode = 'Knative' | 'Standard' | 'ModelMesh' | undefined

const MODES: ReadonlyMap<string, Mode> = new Map([
  ['Knative', 'Knative'],
  ['Serverless', 'Knative'],
  ['Standard', 'Standard'],
  ['RawDeployment', 'Standard'],
  ['ModelMesh', 'ModelMesh'],
])
// The servers of these formats have more protocols than the one that KServe's webhook writes into the specification.
const FORMATS_WITH_MORE: ReadonlySet<string> = new Set(['huggingface', 'vllm'])
// KServe's name for the variables that select the protocol and the model's name.
const PROTOCOL_VARIABLE = 'PROTOCOL'
const NAME_VARIABLE = 'MLSERVER_MODEL_NAME'
const NAME_FLAG = /^--model[_-]name(?:=(.*))?$/s
// Knative requires the name h2c for a port with gRPC; Istio recognises both.
const GRPC_PORT = /^(?:h2c|grpc)(?:-|$)/

/** Returns the mode in effect. The status is preferred, because the annotation may hold a name that KServe rewrites. */
export function modeOf(object: UntrustedObject): Mode {
  const inStatus = textAt(object, 'status', 'deploymentMode')
  const annotated = annotationOf(object, 'serving.kserve.io/deploymentMode')
  return MODES.get(inStatus ?? annotated ?? '')
}

/** Returns whether the server may have no pod, so that a query would start one. */
export function scalesToZero(object: UntrustedObject, mode: Mode): boolean {
  const isKeda = annotationOf(object, 'serving.kserve.io/autoscalerClass') === 'keda'
  if (mode === 'Standard' && !isKeda) return false
  const inAnnotation = annotationOf(object, 'autoscaling.knative.dev/min-scale') === '0'
  return inAnnotation || componentsOf(object).some((each) => numberAt(each, 'minReplicas') === 0)
}

/** Returns whether KServe merges requests itself. */
export function hasBatcher(object: UntrustedObject): boolean {
  return componentsOf(object).some((each) => valueAt(each, 'batcher') !== undefined)
}

/** Returns the longest duration of a request that the specification allows, in milliseconds, limited to 10 minutes. */
export function timeoutMsOf(object: UntrustedObject): number | undefined {
  const [entry] = componentsOf(object)
  const seconds = numberAt(entry, 'timeout')
  return seconds === undefined || seconds <= 0 ? undefined : Math.min(seconds * 1_000, TIMEOUT_MAX_MS)
}

/** Returns the name that the server gives to the model, in KServe's order of sources; undefined = the object's name. */
export function modelNameOf(object: UntrustedObject): string | undefined {
  const transformer = containersOf(mapAt(object, 'spec', 'transformer'))
  const predictor = mapAt(object, 'spec', 'predictor')
  const model = modelSpecOf(predictor)
  const custom = containersOf(predictor)
  return (
    firstName(transformer) ??
    variableOf([model, ...custom], NAME_VARIABLE) ??
    firstName(model === undefined ? [] : [model]) ??
    firstName(custom)
  )
}

/**
 * Returns the protocol version to configure; undefined = the server is queried. A server that scales to zero is not
 * queried, so it gets the protocol that KServe assumes.
 */
export function protocolVersionOf(
  key: ObjectKey,
  object: UntrustedObject,
  isCold: boolean,
): ProtocolVersion | undefined | Refusal {
  const predictor = mapAt(object, 'spec', 'predictor')
  const model = modelSpecOf(predictor)
  const transformer = containersOf(mapAt(object, 'spec', 'transformer'))
  const custom = containersOf(predictor)
  const stated = textAt(model, 'protocolVersion') ?? variableOf(custom, PROTOCOL_VARIABLE)
  const entry = transformer.length > 0 ? transformer : model === undefined ? custom : [model]
  const isGrpc = entry.some((each) => GRPC_PORT.test(textAt(listAt(each, 'ports')[0], 'name') ?? ''))
  const found = stated === undefined ? undefined : dialectIn(stated)
  if (stated !== undefined && found === undefined) {
    return unsupported(key, stated)
  }
  const dialect: Dialect | undefined = found
  if (isGrpc) return grpcVersion(key, dialect)
  // KServe's Service leads to the HTTP port unless a port of the container is named for gRPC.
  const format = textAt(model, 'modelFormat', 'name')?.toLowerCase() ?? ''
  const isFixed = dialect !== undefined && transformer.length === 0 && !FORMATS_WITH_MORE.has(format)
  if (isFixed || isCold) return dialect ?? dialectOfKind(key.kind)
  return undefined
}

/** Returns the dialect that a protocol version of KServe names, with or without `grpc-`. */
function dialectIn(stated: string): Dialect | undefined {
  const version = protocolVersions().find((each) => each === stated.toLowerCase())
  return version === undefined ? undefined : protocolOf(version).dialects[0]
}

function grpcVersion(key: ObjectKey, dialect: Dialect | undefined): ProtocolVersion | Refusal {
  const versions = protocolVersions().filter((each) => protocolOf(each).transport === 'grpc')
  const version =
    dialect === undefined ? versions[0] : versions.find((each) => protocolOf(each).dialects.includes(dialect))
  return version ?? unsupported(key, `grpc-${dialect}`)
}

function unsupported({ kind, namespace, name }: ObjectKey, stated: string): Refusal {
  return {
    refused: 'protocol',
    message: `${kind} "${namespace}/${name}" has the protocol version "${shown(stated)}", which the connector does not support. Use one of ${protocolVersions().join(', ')} in its specification or in the annotation inferwire.io/protocol-version.`,
  }
}

// The component that receives the requests comes first.
function componentsOf(object: UntrustedObject): UntrustedObject[] {
  const components = [mapAt(object, 'spec', 'transformer'), mapAt(object, 'spec', 'predictor')]
  return components.filter((each) => each !== undefined)
}

// The webhook rewrites the old form, `predictor.sklearn`, to `predictor.model`; without it, the old form stays.
function modelSpecOf(predictor: UntrustedObject | undefined): UntrustedObject | undefined {
  const model = mapAt(predictor, 'model')
  if (model !== undefined || predictor === undefined) return model
  return Object.keys(predictor)
    .map((key) => mapAt(predictor, key))
    .find((each) => textAt(each, 'storageUri') !== undefined)
}

function containersOf(component: UntrustedObject | undefined): readonly UntrustedObject[] {
  return mapsAt(component, 'containers')
}

function firstName(containers: readonly UntrustedObject[]): string | undefined {
  for (const container of containers) {
    const name = nameInArguments(listAt(container, 'args'))
    if (name !== undefined) return name
  }
  return undefined
}

function nameInArguments(args: readonly unknown[]): string | undefined {
  for (const [index, argument] of args.entries()) {
    if (typeof argument !== 'string') continue
    const match = NAME_FLAG.exec(argument)
    const value = match === null ? undefined : (match[1] ?? args[index + 1])
    // "$(NAME)" and "{{.Name}}" are replaced in the cluster.
    if (typeof value === 'string' && value !== '' && !/\$\(|\{\{/.test(value)) return value
  }
  return undefined
}

function variableOf(containers: readonly (UntrustedObject | undefined)[], name: string): string | undefined {
  const variables = containers.flatMap((each) => listAt(each, 'env'))
  return textAt(
    variables.find((each) => textAt(each, 'name') === name),
    'value',
  )
}
