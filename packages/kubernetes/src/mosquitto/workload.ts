// The broker's workload: a single pod with a single volume.
import {
  containerSecurity,
  GROUP_MAY_READ,
  labelsOf,
  lostNodeTolerations,
  metaOf,
  podSecurity,
  selectorLabels,
  type KubernetesObject,
} from '../object.ts'
import type { Broker } from '../options.ts'
import { hasTlsListener, PATHS, PORTS } from './config-text.ts'
import { startScript } from './start-script.ts'

const APP = 'mosquitto'
// User and group of the official image.
const USER_ID = 1883

/** Returns the Deployment. A changed `configHash` restarts the broker. */
export function brokerDeployment(broker: Broker, configHash: string): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metaOf(APP, broker),
    spec: {
      replicas: 1,
      // The old pod ends before the new pod starts: two brokers on one volume would overwrite each other's queues.
      strategy: { type: 'Recreate' },
      selector: { matchLabels: selectorLabels(APP, broker) },
      template: {
        metadata: { labels: labelsOf(APP, broker), annotations: { 'checksum/config': configHash } },
        spec: podSpec(broker),
      },
    },
  }
}

function podSpec(broker: Broker): Record<string, unknown> {
  const hasTls = hasTlsListener(broker)
  const clientCa = broker.tls?.clientCaSecret
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    tolerations: lostNodeTolerations(),
    // Gives Mosquitto time to save the queues.
    terminationGracePeriodSeconds: 30,
    securityContext: podSecurity(USER_ID),
    affinity: {
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [apartFromAnother(broker)] },
    },
    containers: [
      {
        name: APP,
        image: broker.image,
        imagePullPolicy: 'IfNotPresent',
        args: ['/bin/sh', '-c', startScript(hasTls)],
        // Files from ConfigMaps and Secrets are symbolic links, which Mosquitto 2.1 opens only with this
        // variable. Mosquitto 2.0 ignores the variable.
        env: [{ name: 'MOSQUITTO_UNSAFE_ALLOW_SYMLINKS', value: '1' }],
        ports: [
          port('mqtt', PORTS.mqtt),
          port('ws', PORTS.ws),
          ...(hasTls ? [port('mqtts', PORTS.mqtts)] : []),
        ],
        securityContext: containerSecurity(),
        resources: {
          requests: { cpu: '50m', memory: `${Math.min(64, broker.memoryMi)}Mi` },
          limits: { memory: `${broker.memoryMi}Mi` },
        },
        // Loading a large database takes a while.
        startupProbe: { tcpSocket: { port: 'mqtt' }, periodSeconds: 2, failureThreshold: 60 },
        readinessProbe: { tcpSocket: { port: 'mqtt' }, periodSeconds: 10, timeoutSeconds: 3 },
        livenessProbe: { tcpSocket: { port: 'mqtt' }, periodSeconds: 20, timeoutSeconds: 5 },
        volumeMounts: [
          { name: 'config', mountPath: PATHS.config, readOnly: true },
          { name: 'password', mountPath: PATHS.password, readOnly: true },
          ...(hasTls ? [{ name: 'tls', mountPath: PATHS.tls, readOnly: true }] : []),
          ...(clientCa === undefined
            ? []
            : [{ name: 'client-ca', mountPath: PATHS.clientCa, readOnly: true }]),
          { name: 'data', mountPath: PATHS.data },
        ],
      },
    ],
    volumes: [
      { name: 'config', configMap: { name: `${broker.name}-config`, defaultMode: GROUP_MAY_READ } },
      { name: 'password', ...passwordSource(broker) },
      ...(hasTls
        ? [{ name: 'tls', secret: { secretName: broker.tls!.secretName, defaultMode: GROUP_MAY_READ } }]
        : []),
      ...(clientCa === undefined
        ? []
        : [{ name: 'client-ca', secret: { secretName: clientCa, defaultMode: GROUP_MAY_READ } }]),
      { name: 'data', persistentVolumeClaim: { claimName: `${broker.name}-data` } },
    ],
  }
}

// ReadWriteOnce excludes pods on other nodes from the volume. This rule excludes a second pod on the same node: a
// replica, or the successor of a pod that is still saving its queues.
function apartFromAnother(broker: Broker): Record<string, unknown> {
  return {
    labelSelector: { matchLabels: selectorLabels(APP, broker) },
    topologyKey: 'kubernetes.io/hostname',
  }
}

function port(name: keyof typeof PORTS, containerPort: number): Record<string, unknown> {
  return { name, containerPort, protocol: 'TCP' }
}

function passwordSource({ name, passwords }: Broker): Record<string, unknown> {
  return passwords === 'configmap'
    ? { configMap: { name: `${name}-password`, defaultMode: GROUP_MAY_READ } }
    : { secret: { secretName: `${name}-password`, defaultMode: GROUP_MAY_READ } }
}

/** Returns the PersistentVolumeClaim. */
export function brokerVolume(broker: Broker): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: metaOf(APP, broker, '-data'),
    spec: { accessModes: [broker.accessMode], resources: { requests: { storage: broker.storage } } },
  }
}
