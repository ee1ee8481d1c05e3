// Target: parses clients' topics, model names and Response Topics. Each path must belong to the requested model, and
// replies must stay in the client's own subtree.
import {
  dialectNames,
  fitsRoutes,
  isCleanLevel,
  isModelName,
  isServerModelName,
  operationRoute,
  operationsOf,
  Problem,
  TopicSpace,
  versionedDialects,
  type Dialect,
} from '@inferwire/protocol'
import {
  findOperation,
  ModelTable,
  derivedTarget,
  requestedTarget,
} from '../../../packages/connector/src/route/index.ts'
import type { BoundOperation, ExposedModel } from '../../../packages/connector/src/step.ts'
import { claim, fieldsOf, joined, labelOf, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'
import { FakeUpstream, JSON_REQUEST } from './fake-upstream.ts'

const EXPOSED = ['iris', 'iris@2', 'iris.models', 'A_b-c']

/** Fuzzes topics and paths. Fields: root, topic, Response Topic, the model's name on its server. */
export const target: FuzzTarget = {
  name: 'topic',
  seedInputs: [
    joined('infer', 'infer/request/cam7/iris/infer/a/b', 'infer/reply/cam7/x', 'iris'),
    joined('plant/infer', 'plant/infer/request/c/iris@2', 'plant/infer/reply/c', 'iris@2'),
    joined('infer', 'infer/request/cam7/iris.models/predict', 'infer/reply/other/x', 'a..b'),
    joined('infer', 'infer/request/c/../infer', '$share/g/infer/request/#', '..'),
    joined('infer', 'infer/cancel/c/A_b-c/ready/7', 'infer/request/c/iris', '%2e%2e'),
    joined('$SYS', '$SYS/request/c/iris', '$SYS/reply/c/x', 'iris'),
  ],
  dictionary: [
    ...words(
      '/ // + # $ $SYS $share/g/ .. . %2e%2e %2f \\ ? : @ @2 ; iris request reply infer predict metadata',
    ),
    ...words('__proto__ constructor toString é 𝒳 \u2028 \u0085 \u0000 \u007f \ufeff'),
    ...tokens('\t', '\n', [0xff], 'a'.repeat(256), '/a'.repeat(130)),
  ],
  run(input) {
    const [root = '', topic = '', responseTopic, name = ''] = fieldsOf(input)
    return `${topicLabel(root, topic, responseTopic)} ${checkPaths(name)} ${checkLookup(name)}`
  },
}

function problemLabel(error: unknown): string | undefined {
  return error instanceof Problem && error.code !== 'internal'
    ? shapeOf(`${error.code} ${error.message}`)
    : undefined
}

function topicLabel(root: string, topic: string, responseTopic: string | undefined): string {
  let topics: TopicSpace
  try {
    topics = new TopicSpace(root)
  } catch (error) {
    claim(
      (error as Error).message.startsWith('Root "'),
      'the error for an invalid root does not name the root',
    )
    return 'no root'
  }
  const delivery = {
    topic,
    qos: 1 as const,
    properties: {
      correlationData: Buffer.from('x'),
      ...(responseTopic === undefined ? {} : { responseTopic }),
    },
  }
  const derived = derivedTarget(topics, delivery)
  const parsed = labelOf(() => {
    const { client, model, operation, id } = topics.parseRequest(topic)
    claim(isCleanLevel(client), 'a client name is not a single valid topic level')
    claim(!model.includes('/') && operation?.includes('/') !== true, 'a level contains a slash')
    claim(
      topics.request(client, model, operation, id) === topic,
      'a topic changes when it is parsed and rebuilt',
    )
    if (derived === undefined) return 'unaddressable'
    checkOwn(topics, client, derived.topic)
    return labelOf(() => {
      const target = requestedTarget(topics, client, delivery, derived)
      checkOwn(topics, client, target.topic)
      claim(target.correlationData === delivery.properties.correlationData, 'Correlation Data was changed')
      return `${Number(operation !== undefined)}${Number(id !== undefined)}${Number(target === derived)}`
    }, problemLabel)
  }, problemLabel)
  if (derived !== undefined) {
    claim(
      topic.startsWith(topics.requestFilter.slice(0, -1)),
      'a topic that is not a request topic gets a reply topic',
    )
    claim(
      derived.topic === topic.replace(`${root}/request/`, () => `${root}/reply/`),
      "the reply topic is not derived from the request's topic",
    )
  }
  return `${Number(derived !== undefined)} ${parsed} ${cancelLabel(topics, topic)}`
}

function cancelLabel(topics: TopicSpace, topic: string): string {
  if (!topics.isCancel(topic)) return ''
  return labelOf(() => {
    const { client, model, operation, id } = topics.parseCancel(topic)
    claim(isCleanLevel(client) && !model.includes('/'), 'a cancel topic has an invalid client or model level')
    claim(
      topics.cancel(client, model, operation, id) === topic,
      'a cancel topic changes when it is parsed and rebuilt',
    )
    return 'cancel'
  }, problemLabel)
}

// Checks a reply topic independently of the code under test.
function checkOwn(topics: TopicSpace, client: string, topic: string): void {
  const levels = topic.split('/')
  const own = [...topics.root.split('/'), 'reply', client]
  claim(
    own.every((level, index) => levels[index] === level),
    "a reply topic is outside the client's own subtree",
  )
  claim(
    !/[+#\u0000-\u001f\u007f-\u009f]/.test(topic),
    'a reply topic contains characters that are not allowed',
  )
  claim(
    Buffer.byteLength(topic) <= 65_535 && levels.length <= 200,
    'a reply topic is too long or has too many levels for a broker',
  )
}

// If the paths of a dialect do not contain the model, the body names the model.
function hasModelInPath(dialect: Dialect): boolean {
  return operationRoute('metadata', dialect, 'MODEL')?.path.includes('MODEL') === true
}

// Checks the paths of a model with this name on its server, if a configuration may contain the name.
function checkPaths(name: string): string {
  if (!isServerModelName(name)) return 'no name'
  claim(!/[\\%?#\s]/.test(name), 'a name contains a URL delimiter')
  // A name is split into model and version only if it is valid in a topic. Fewer characters are allowed in a
  // version than in a name on the server.
  const [model = '', version] = isModelName(name) ? name.split('@') : [name]
  const upstream = new FakeUpstream()
  const paths = new Map<string, string>()
  const collect = (dialect: Dialect, model: string, version: string | undefined, key: string): void => {
    for (const operation of operationsOf([dialect])) {
      void upstream.endpoint(operation, dialect, model, version).call(JSON_REQUEST)
      paths.set(`${key} ${operation}`, upstream.last!.path)
    }
  }
  const hasPaths = (dialect: Dialect): boolean => hasModelInPath(dialect) && fitsRoutes(name, dialect)
  for (const dialect of dialectNames().filter(hasPaths)) collect(dialect, name, undefined, dialect)
  for (const dialect of versionedDialects().filter(hasPaths)) collect(dialect, model, version, 'version')
  for (const [key, path] of paths) {
    const url = new URL(`http://h${path}`)
    claim(
      url.pathname === path && url.search === '' && url.hash === '' && url.host === 'h',
      'a path changes when it is parsed as part of a URL',
    )
    const levels = path.split('/').slice(1)
    const isVersion = key.startsWith('version') && version !== undefined
    claim(levels[0] === 'prefix' && levels[2] === 'models', 'a path is outside of its prefix')
    const [, operation] = key.split(' ')
    const suffix = operation === 'predict' || operation === 'explain' ? `:${operation}` : ''
    claim(levels[3]!.endsWith(suffix), 'a path has the wrong operation')
    const asked = levels[3]!.slice(0, levels[3]!.length - suffix.length)
    claim(asked === (isVersion || key.startsWith('version') ? model : name), 'a path has the wrong model')
    claim(levels.length <= (isVersion ? 7 : 5), 'a path has too many levels')
  }
  return version === undefined ? 'name' : 'versioned'
}

const operation = { name: 'infer' } as BoundOperation
const table = new ModelTable()
for (const name of EXPOSED) {
  const operations = new Map([['infer', operation]])
  table.set({ name, operations, defaultOperation: operation } as unknown as ExposedModel)
}

function checkLookup(name: string): string {
  return (
    labelOf(() => {
      const model = table.find(name)
      claim(EXPOSED.includes(name) && model.name === name, 'the table finds a model that is not exposed')
      return 'found'
    }, problemLabel) +
    labelOf(() => {
      claim(
        findOperation(table.find('iris'), name) === operation && name === 'infer',
        'the table finds an operation that does not exist',
      )
      return 'offered'
    }, problemLabel)
  )
}
