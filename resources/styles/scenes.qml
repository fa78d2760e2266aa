<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<!-- One cell or zone: tinted and framed in the colour that is set by class (styles.py), with a white edge and a label. -->
<qgis version="3.22.0" styleCategories="Symbology|Labeling" labelsEnabled="1">
  <renderer-v2 type="singleSymbol">
    <symbols>
      <symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="227,26,28,80"/>
            <Option type="QString" name="outline_style" value="no"/>
            <Option type="QString" name="style" value="solid"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="draw_inside_polygon" value="1"/>
            <Option type="QString" name="joinstyle" value="miter"/>
            <Option type="QString" name="line_color" value="227,26,28,255"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="1.6"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="1" pass="0">
          <Option type="Map">
            <Option type="QString" name="joinstyle" value="miter"/>
            <Option type="QString" name="line_color" value="255,255,255,200"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="0.35"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
          </Option>
        </layer>
      </symbol>
    </symbols>
  </renderer-v2>
  <labeling type="simple">
    <settings>
      <text-style fieldName="&quot;class_name&quot; || '\n' || format_number(coalesce(attribute('probability'), attribute('probabilit')), 2)" isExpression="1" namedStyle="Bold" fontWeight="75" fontSize="7.5" fontSizeUnit="Point" textColor="20,20,20,255" textOpacity="1">
        <text-buffer bufferDraw="1" bufferColor="255,255,255,220" bufferOpacity="1" bufferSize="0.6" bufferSizeUnits="MM"/>
      </text-style>
      <text-format multilineAlign="1"/>
      <placement placement="1" quadOffset="4" centroidInside="1" fitInPolygonOnly="1" labelOffsetMapUnitScale="3x:0,0,0,0,0,0" offsetUnits="MM" priority="5"/>
      <rendering drawLabels="1" fitInPolygonOnly="1" obstacle="0" obstacleType="1"/>
    </settings>
  </labeling>
</qgis>
