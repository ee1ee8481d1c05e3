// The options of discovery: which objects of a Kubernetes cluster become models, and under which names.
import { isModelName } from '@inferwire/protocol'
import { z } from 'zod'
import { modelUrlMistake } from './address.ts'
import { model } from './model-schema.ts'
import { advanced, option, optionalFile, text } from './option.ts'
import { address, shortText } from './schema-parts.ts'

/** The kinds of KServe objects that can be discovered. If two objects have the same name, the earlier kind wins. */
export const DISCOVERED_KINDS = [
  'InferenceService',
  'InferenceGraph',
  'TrainedModel',
  'LLMInferenceService',
] as const

// RFC 1123: a label, as Kubernetes requires for namespaces, and KServe for its objects.
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const NAMESPACE = new RegExp(`^${LABEL}$`)
const NAMESPACED = new RegExp(`^${LABEL}/${LABEL}$`)
const DOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`)

const namespace = text((value) => NAMESPACE.test(value), 'the name of a namespace')
const domain = text(
  (value) => value.length <= 253 && DOMAIN.test(value),
  'a DNS domain in lower case, such as models.example',
)
const credentialName = text(
  (value) => /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(value),
  'the name of an entry in credentials',
)

const defaults = model
  .omit({
    url: true,
    host: true,
    protocolVersion: true,
    modelName: true,
    versions: true,
    defaultOperation: true,
    description: true,
    example: true,
    lane: true,
    credential: true,
  })
  .prefault({})

/** The section `discovery`. */
export const discovery = z.strictObject({
  enabled: option(z.boolean().default(false), {
    description: 'Whether the models of a Kubernetes cluster are exposed without a line in `models`.',
    details:
      'The connector reads InferenceServices with the ServiceAccount of its pod, or with `kubeconfig`. See the [guide](../guides/discovery.md).',
  }),
  namespaces: option(
    z
      .array(
        text((value) => value === '*' || NAMESPACE.test(value), 'the name of a namespace, or "*" for all'),
      )
      .max(1_000)
      .default([]),
    {
      description: 'Namespaces whose models are exposed; `["*"]` = all.',
      details:
        'With names, the connector needs a Role in each namespace; with `*`, a ClusterRole. Use `namespaceSelector` for namespaces with a label.',
    },
  ),
  namespaceSelector: advanced(
    option(shortText.optional(), {
      description:
        'Label selector for the namespaces, such as `inferwire.io/discover=true`; replaces the list.',
      details: 'The connector then also needs permission to list and watch namespaces.',
    }),
  ),
  expose: option(z.enum(['opt-in', 'all'], { error: 'opt-in or all' }).default('opt-in'), {
    description: 'Which objects are exposed: `opt-in` = those with `inferwire.io/expose: "true"`, or `all`.',
    details:
      '`inferwire.io/expose` is an annotation or a label. With `all`, the value `"false"` excludes an object.',
  }),
  kinds: advanced(
    option(
      z
        .array(z.enum(DISCOVERED_KINDS, { error: DISCOVERED_KINDS.join(', ') }))
        .min(1)
        .default(['InferenceService']),
      {
        description: 'Kinds of KServe objects that are read.',
        details: `The kinds are ${DISCOVERED_KINDS.map((kind) => `\`${kind}\``).join(', ')}. \`TrainedModel\` needs \`InferenceService\` too.`,
      },
    ),
  ),
  defaultNamespace: option(namespace.optional(), {
    description: 'Namespace whose models are exposed as `{name}`, instead of `{name}.{namespace}`.',
    defaultText: 'every name contains its namespace',
  }),
  aliases: advanced(
    option(
      z
        .record(
          text(
            (value) => isModelName(value) && !value.includes('@'),
            'a model name: letters, digits, ".", "_", "-"',
          ),
          text((value) => NAMESPACED.test(value), 'an object as {namespace}/{name}, such as vision/defects'),
        )
        .default({}),
      { description: 'Names in topics for discovered objects, each as `alias: namespace/name`.' },
    ),
  ),
  clusterDomain: advanced(
    option(domain.default('cluster.local'), { description: 'DNS domain of the cluster.' }),
  ),
  gateway: z
    .strictObject({
      url: advanced(
        option(address(modelUrlMistake).optional(), {
          description: 'URL of a gateway to connect to, for a connector that cannot reach the Services.',
          details: 'The Host header is that of the URL in the status of the object. Requires `domain`.',
          defaultText: 'connects to the Services',
        }),
      ),
      domain: advanced(
        option(domain.optional(), {
          description: 'Domain of the hosts behind the gateway, such as `example.com`.',
          details: 'A status whose URL has another domain is refused.',
        }),
      ),
    })
    .prefault({}),
  credential: advanced(
    option(credentialName.optional(), {
      description: 'Name in `credentials` of the credential for calls to discovered models.',
      defaultText: 'calls do not authenticate',
    }),
  ),
  credentials: advanced(
    option(z.array(credentialName).max(100).default([]), {
      description: 'Names in `credentials` that the annotation `inferwire.io/credential` may choose.',
    }),
  ),
  defaults: advanced(
    option(defaults, {
      description: 'Options of every discovered model, with the keys of `models.*`.',
      details:
        'The keys that belong to a single model (`url`, `host`, `protocolVersion`, `modelName`, `versions`, `defaultOperation`, `description`, `example`, `lane`, `credential`) are not allowed. `timeoutMs` is overridden by the annotation `inferwire.io/timeout-ms` and by the timeout of the InferenceService.',
      defaultText: 'the defaults of `models.*`',
    }),
  ),
  kubeconfig: advanced(optionalFile('Kubeconfig file, for a connector outside the cluster.')),
  context: advanced(
    option(shortText.optional(), {
      description: 'Context in the kubeconfig file.',
      defaultText: 'its current context',
    }),
  ),
})

/** The parsed section. */
export type DiscoveryConfig = z.output<typeof discovery>
/** A kind of KServe objects. */
export type DiscoveredKind = (typeof DISCOVERED_KINDS)[number]
